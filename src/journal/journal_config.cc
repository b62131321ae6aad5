#include "journal/journal_config.h"

namespace autoglm::journal {

config::Descriptor<JournalConfig> describe_journal() {
  using C = JournalConfig;
  return config::Descriptor<C>(
             "journal",
             "A folder that records what each request has used, so that a restart loses none of it. Unset: "
             "usage is kept in memory only.")
      .field("path", &C::path,
             {.doc = "The folder; it is made, readable by its owner only. One process at a time may use it.",
              .example = "/var/lib/open-autoglm/journal",
              .min = 1,
              .required = true})
      .field("retention", &C::retention,
             {.doc = "How long records are kept. Budgets of a month need 31 days, those of a day one, or a "
                     "restart would forget a part.",
              .min = 3600,
              .max = 10 * 366 * 86'400.0})
      .field("on_failure", &C::on_failure,
             {.doc = "While the disk takes no records: `refuse` answers requests with 503; `serve` goes on, "
                     "keeps up to "
                     "16 MiB of records until the disk works again, and counts what it drops."})
      .field("sync", &C::sync,
             {.doc = "What a power cut may lose: `each`: nothing that was answered, for a sync of the disk "
                     "before each "
                     "answer's end; `second`: the last second; `never`: what the system has not written yet. "
                     "The end of "
                     "this process alone loses nothing."});
}

}  // namespace autoglm::journal
