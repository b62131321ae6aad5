#pragma once

#include "base/assert.h"
#include "config/type.h"
#include "config/values.h"

#include <concepts>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace autoglm::config {

/// One value of an enum and its name in a configuration. An enum can be configured when its namespace
/// has a function `enum_names(E)` that returns a range of these.
template <class E>
struct EnumName {
  std::string name;
  E value;
};

/// The Type of C++ type `T`; `section` describes the struct in it, if there is one.
template <class T>
Type make_type(std::shared_ptr<const Section> section);

/// A type that is read as a listen address: ListenAddress, and any struct of a lower room with the same
/// members.
template <class T>
concept HostAndPort = requires(const T& address) {
  { address.host } -> std::same_as<const std::string&>;
  { address.port } -> std::same_as<const std::uint16_t&>;
};

namespace detail {

/// A scalar that is carried as `Wire` and converted both ways.
template <class T, class Wire>
Type scalar_type(Kind kind, T (*in)(const Wire&), Wire (*out)(const T&)) {
  return {.kind = kind,
          .store = [in](void* target,
                        const Scalar& value) { *static_cast<T*>(target) = in(std::get<Wire>(value)); },
          .fetch = [out](const void* source) { return Scalar(out(*static_cast<const T*>(source))); }};
}

template <class T>
Type integer_type() {
  Type type = scalar_type<T, std::int64_t>(
      Kind::kInteger, [](const std::int64_t& v) { return static_cast<T>(v); },
      [](const T& v) { return static_cast<std::int64_t>(v); });
  type.lowest = std::is_signed_v<T> ? static_cast<std::int64_t>(std::numeric_limits<T>::min()) : 0;
  if constexpr (sizeof(T) < sizeof(std::int64_t))
    type.highest = static_cast<std::int64_t>(std::numeric_limits<T>::max());
  return type;
}

template <std::integral T>
Type byte_type() {
  Type type = make_type<T>(nullptr);
  type.kind = Kind::kByteSize;
  return type;
}

template <class E>
Type enum_type() {
  std::vector<E> values;
  Type type{.kind = Kind::kEnum};
  for (const EnumName<E>& entry : enum_names(E{})) {
    type.names.push_back(entry.name);
    values.push_back(entry.value);
  }
  type.store = [values](void* target, const Scalar& index) {
    *static_cast<E*>(target) = values.at(static_cast<std::size_t>(std::get<std::int64_t>(index)));
  };
  type.fetch = [values](const void* source) {
    std::size_t i = 0;
    while (i < values.size() && values[i] != *static_cast<const E*>(source)) ++i;
    AUTOGLM_ASSERT(i < values.size(), "an enum's value has no name");
    return Scalar(static_cast<std::int64_t>(i));
  };
  return type;
}

template <class T, class U>
Type container_type(Kind kind, std::shared_ptr<const Section> section) {
  Type type{.kind = kind};
  type.element = std::make_shared<const Type>(make_type<U>(std::move(section)));
  type.clear = [](void* target) { *static_cast<T*>(target) = T{}; };
  return type;
}

template <class T>
struct Container : std::false_type {};

template <class U>
struct Container<std::optional<U>> : std::true_type {
  static Type make(std::shared_ptr<const Section> section) {
    Type type = container_type<std::optional<U>, U>(Kind::kOptional, std::move(section));
    type.add = [](void* target, const std::string&) -> void* {
      return &static_cast<std::optional<U>*>(target)->emplace();
    };
    type.visit = [](const void* source, const Type::Visit& visit) {
      if (const auto& value = *static_cast<const std::optional<U>*>(source)) visit({}, &*value);
    };
    return type;
  }
};

template <class U>
struct Container<std::vector<U>> : std::true_type {
  static_assert(!std::is_same_v<U, bool>, "vector<bool> has no elements to point to");
  static Type make(std::shared_ptr<const Section> section) {
    Type type = container_type<std::vector<U>, U>(Kind::kList, std::move(section));
    type.add = [](void* target, const std::string&) -> void* {
      return &static_cast<std::vector<U>*>(target)->emplace_back();
    };
    type.visit = [](const void* source, const Type::Visit& visit) {
      for (const U& value : *static_cast<const std::vector<U>*>(source)) visit({}, &value);
    };
    return type;
  }
};

template <class U>
struct Container<std::map<std::string, U>> : std::true_type {
  static Type make(std::shared_ptr<const Section> section) {
    using Map = std::map<std::string, U>;
    Type type = container_type<Map, U>(Kind::kMap, std::move(section));
    type.add = [](void* target, const std::string& key) -> void* {
      return &(*static_cast<Map*>(target))[key];
    };
    type.visit = [](const void* source, const Type::Visit& visit) {
      for (const auto& [key, value] : *static_cast<const Map*>(source)) visit(key, &value);
    };
    return type;
  }
};

template <class T>
Type unassignable_type(std::shared_ptr<const Section> section) {
  if constexpr (Container<T>::value) {
    return Container<T>::make(std::move(section));
  } else if constexpr (std::is_same_v<T, bool>) {
    return scalar_type<bool, bool>(
        Kind::kBool, [](const bool& v) { return v; }, [](const bool& v) { return v; });
  } else if constexpr (std::integral<T>) {
    return integer_type<T>();
  } else if constexpr (std::floating_point<T>) {
    return scalar_type<T, double>(
        Kind::kNumber, [](const double& v) { return static_cast<T>(v); },
        [](const T& v) { return static_cast<double>(v); });
  } else if constexpr (std::is_same_v<T, std::string>) {
    return scalar_type<T, T>(Kind::kString, [](const T& v) { return v; }, [](const T& v) { return v; });
  } else if constexpr (std::is_enum_v<T>) {
    return enum_type<T>();
  } else if constexpr (std::is_same_v<T, Duration>) {
    return scalar_type<T, std::int64_t>(
        Kind::kDuration, [](const std::int64_t& v) { return Duration(std::chrono::nanoseconds(v)); },
        [](const T& v) { return std::int64_t{std::chrono::nanoseconds(v).count()}; });
  } else if constexpr (std::is_same_v<T, ByteSize>) {
    return scalar_type<T, std::int64_t>(
        Kind::kByteSize, [](const std::int64_t& v) { return ByteSize{v}; },
        [](const T& v) { return v.bytes; });
  } else if constexpr (HostAndPort<T>) {
    return scalar_type<T, std::string>(
        Kind::kListenAddress,
        [](const std::string& v) {
          const ListenAddress address = parse_listen_address(v).value();
          return T{address.host, address.port};
        },
        [](const T& v) { return to_string(ListenAddress{v.host, v.port}); });
  } else {
    static_assert(std::is_class_v<T>, "a configuration has no such type");
    AUTOGLM_ASSERT(section != nullptr, "a nested struct is given with section(), which takes its descriptor");
    return {.kind = Kind::kSection, .section = std::move(section)};
  }
}

template <class T>
void assign(void* to, const void* from) {
  *static_cast<T*>(to) = *static_cast<const T*>(from);
}

}  // namespace detail

template <class T>
Type make_type(std::shared_ptr<const Section> section) {
  Type type = detail::unassignable_type<T>(std::move(section));
  type.assign = detail::assign<T>;
  return type;
}

}  // namespace autoglm::config
