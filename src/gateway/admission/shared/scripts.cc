#include "gateway/admission/shared/scripts.h"

#include <string>

namespace autoglm::gateway {

namespace {

// The arithmetic is that of rate/bucket.h and rate/sliding_window.h, in microseconds. `born` tells a counter
// from an earlier one under the same key, whose reservations give nothing back.
constexpr const char* kCounting = R"lua(
local now = tonumber(ARGV[1])
local is_real = not now
if is_real then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local clock_step, most_exact = 60000000, 9007199254740992

local function save(key, fresh, free_in, format, ...)
  if fresh then return redis.call('DEL', key) end
  if not is_real then return redis.call('SET', key, struct.pack(format, ...)) end
  redis.call('SET', key, struct.pack(format, ...), 'PX', math.ceil(free_in / 1000) + 1)
end

local Bucket = {}
function Bucket.read(key, parts, rate, most, room, leaky)
  local it = {key = key, parts = parts, rate = rate, most = most, room = room, leaky = leaky,
              debt = 0, position = 0, born = now, at = now}
  local saved = redis.call('GET', key)
  if saved and #saved == 40 then
    local saved_parts
    it.debt, it.position, it.born, it.at, saved_parts = struct.unpack('<ddddd', saved)
    if saved_parts ~= parts then
      local tokens = math.floor(it.debt / saved_parts)
      local rest = it.debt - tokens * saved_parts
      it.debt = math.min(tokens * parts + math.ceil(rest / saved_parts * parts) + 1, most_exact)
    end
    if now > it.at then
      local drained = (now - it.at) * rate
      it.debt = it.debt > drained and it.debt - drained or 0
      it.at = now
    elseif it.at - now > clock_step then
      it.at, it.is_set_back = now, true
    end
  end
  return it
end
function Bucket.missing(it, amount)
  return it.debt + amount * it.parts - it.room * it.parts
end
function Bucket.wait_for(it, amount)
  return math.ceil(Bucket.missing(it, amount) / it.rate) + it.at - now
end
function Bucket.take(it, amount)
  local position, over = it.position, it.debt + amount * it.parts - it.most * it.parts
  Bucket.charge(it, amount)
  return position, over > 0 and math.ceil(over / it.rate) + it.at - now or 0
end
function Bucket.charge(it, amount)
  it.debt = math.min(it.debt + amount * it.parts, most_exact)
  it.position = it.position + amount
end
function Bucket.give_back(it, position, amount, unused)
  local newer = it.position - (position + amount)
  if newer < 0 or (it.leaky and newer > 0 and it.debt > it.most * it.parts) then return end
  local newer_debt = newer * it.parts
  if it.debt > newer_debt then it.debt = it.debt - math.min(unused * it.parts, it.debt - newer_debt) end
end
function Bucket.remaining(it)
  return math.max(math.floor((it.room * it.parts - it.debt) / it.parts), 0)
end
function Bucket.reset(it)
  return it.debt == 0 and 0 or math.ceil(it.debt / it.rate) + it.at - now
end
function Bucket.save(it)
  save(it.key, it.debt == 0, Bucket.reset(it), '<ddddd', it.debt, it.position, it.born, it.at, it.parts)
end

local Window = {}
local window_format = '<' .. string.rep('d', 19)
function Window.read(key, width, _, most)
  local it = {key = key, width = width, most = most, born = now, head = math.floor(now / width), counts = {}}
  for i = 0, 15 do it.counts[i] = 0 end
  local saved = redis.call('GET', key)
  if not saved or #saved ~= 152 then return it end
  local was = {struct.unpack(window_format, saved)}
  local head, was_width = was[1], was[3]
  if was_width == width then
    it.born = was[2]
    if it.head < head then
      it.is_set_back = head * width - now > clock_step
      it.head = it.is_set_back and it.head + 1 or head
      head = it.head
    end
  end
  for i = 0, 15 do
    local place = it.head - head + i
    if was_width ~= width then
      local latest = math.min((head - i + 1) * was_width - 1, now)
      place = it.head - math.floor(latest / width)
    end
    if place <= 15 then it.counts[place] = it.counts[place] + was[4 + i] end
  end
  return it
end
function Window.used(it)
  local sum = 0
  for i = 0, 15 do sum = sum + it.counts[i] end
  return sum
end
function Window.leaves_in(it, back)
  return (it.head - back + 16) * it.width - now
end
function Window.missing(it, amount)
  return Window.used(it) + amount - it.most
end
function Window.wait_for(it, amount)
  local left, back = Window.missing(it, amount), 15
  while back > 0 do
    left = left - it.counts[back]
    if left <= 0 then break end
    back = back - 1
  end
  return Window.leaves_in(it, back)
end
function Window.take(it, amount)
  Window.charge(it, amount)
  return it.head, 0
end
function Window.charge(it, amount)
  it.counts[0] = math.min(it.counts[0] + amount, most_exact / 32)
end
function Window.give_back(it, position, _, unused)
  local back = it.head - position
  if back >= 0 and back <= 15 then it.counts[back] = math.max(it.counts[back] - unused, 0) end
end
function Window.remaining(it)
  return math.max(it.most - Window.used(it), 0)
end
function Window.reset(it)
  for back = 0, 15 do
    if it.counts[back] > 0 then return Window.leaves_in(it, back) end
  end
  return 0
end
function Window.save(it)
  save(it.key, Window.used(it) == 0, Window.reset(it), window_format, it.head, it.born, it.width,
       unpack(it.counts, 0, 15))
end

local function read(key, at)
  local kind = ARGV[at]
  local counter = kind == 'w' and Window or Bucket
  return counter, counter.read(key, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]),
                               tonumber(ARGV[at + 4]), kind == 'l')
end
)lua";

constexpr const char* kTake = R"lua(
local taken, all_fit = {}, true
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  local counter, it = read(key, at)
  local amount = tonumber(ARGV[at + 5])
  taken[i] = {counter = counter, it = it, amount = amount, fits = counter.missing(it, amount) <= 0}
  all_fit = all_fit and taken[i].fits
end
local reply = {}
for _, each in ipairs(taken) do
  local counter, it = each.counter, each.it
  local what, wait, position = 2, 0, 0
  if all_fit then
    what = 0
    position, wait = counter.take(it, each.amount)
    counter.save(it)
  elseif not each.fits then
    what = 1
    wait = counter.wait_for(it, each.amount)
  end
  -- Unless it is noted, no time would pass until the clock is where it was.
  if not all_fit and it.is_set_back then counter.save(it) end
  for _, number in ipairs({what, wait, counter.remaining(it), counter.reset(it), it.born, position}) do
    reply[#reply + 1] = number
  end
end
return reply
)lua";

constexpr const char* kSettle = R"lua(
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 9
  local counter, it = read(key, at)
  local amount, used = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 8])
  if used > amount then
    counter.charge(it, used - amount)
  elseif it.born == tonumber(ARGV[at + 6]) then
    counter.give_back(it, tonumber(ARGV[at + 7]), amount, amount - used)
  end
  counter.save(it)
end
return #KEYS
)lua";

}  // namespace

const redis::Script& take_script() {
  static const redis::Script script = redis::Script::of(std::string(kCounting) + kTake);
  return script;
}

const redis::Script& settle_script() {
  static const redis::Script script = redis::Script::of(std::string(kCounting) + kSettle);
  return script;
}

}  // namespace autoglm::gateway
