#include "runtime/certificate.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

namespace autoglm {

namespace {

/// Copies by length: a NUL inside is part of the name, not its end.
std::string text_of(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::vector<std::string> alternative_names(const X509& certificate, int kind) {
  std::vector<std::string> found;
  const std::unique_ptr<GENERAL_NAMES, void (*)(GENERAL_NAMES*)> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free);
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    // URIs, DNS names and e-mail addresses are all IA5 strings.
    if (name->type == kind) found.push_back(text_of(name->d.ia5));
  }
  return found;
}

std::string common_name(const X509& certificate) {
  const X509_NAME* subject = X509_get_subject_name(&certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index)));
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

std::int64_t unix_seconds(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? ::timegm(&parts) : 0;
}

std::string serial_of(const X509& certificate) {
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr), BN_free);
  const std::unique_ptr<char, void (*)(char*)> text(number == nullptr ? nullptr : BN_bn2hex(number.get()),
                                                    [](char* made) { OPENSSL_free(made); });
  return text == nullptr ? std::string() : std::string(text.get());
}

}  // namespace

CertificateFacts facts_of(const X509& certificate) {
  CertificateFacts facts{.names = alternative_names(certificate, GEN_DNS),
                         .serial = serial_of(certificate),
                         .not_before = unix_seconds(X509_get0_notBefore(&certificate)),
                         .not_after = unix_seconds(X509_get0_notAfter(&certificate))};
  if (facts.names.empty()) {
    if (std::string name = common_name(certificate); !name.empty()) facts.names.push_back(std::move(name));
  }
  return facts;
}

std::vector<std::string> names_of(const X509& certificate) {
  std::vector<std::string> names;
  for (const std::string& uri : alternative_names(certificate, GEN_URI)) names.push_back("uri:" + uri);
  for (std::string& name : alternative_names(certificate, GEN_DNS)) {
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    names.push_back("dns:" + name);
  }
  if (const std::string name = common_name(certificate); !name.empty()) names.push_back("cn:" + name);
  return names;
}

std::string identity_of(const X509& certificate) {
  for (const int kind : {GEN_URI, GEN_DNS, GEN_EMAIL}) {
    for (std::string& name : alternative_names(certificate, kind))
      if (!name.empty()) return std::move(name);
  }
  return common_name(certificate);
}

}  // namespace autoglm
