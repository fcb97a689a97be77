#include "allocate/kept.h"

namespace thimble::allocate {
namespace {

// Figures of a weight: errors by rounding, errors as written, then offer by offer what was fitted.
std::size_t fitted_figures(const pass::Offer& offer) {
  switch (offer.fit) {
    case pass::Fit::kNothing:
      return 0;
    case pass::Fit::kLevels:
      return offer.encoding.table.size();
    case pass::Fit::kScaleExponent:
      return 1;
  }
  return 0;
}

void append_fitted(const pass::Offer& offer, std::vector<double>& figures) {
  if (offer.fit == pass::Fit::kLevels)
    figures.insert(figures.end(), offer.encoding.table.begin(), offer.encoding.table.end());
  if (offer.fit == pass::Fit::kScaleExponent) figures.push_back(offer.encoding.scale_exponent);
}

void take_fitted(const double* figures, pass::Offer& offer) {
  if (offer.fit == pass::Fit::kLevels) {
    for (float& level : offer.encoding.table) level = static_cast<float>(*figures++);
  }
  if (offer.fit == pass::Fit::kScaleExponent)
    offer.encoding.scale_exponent = static_cast<int>(*figures);
}

std::string errors_key(const std::string& weight) { return "errors of " + weight; }

}  // namespace

std::optional<OfferErrors> Kept::find_errors(const std::string& weight,
                                             pass::OpenWeight& open) const {
  if (journal_ == nullptr) return std::nullopt;
  const auto figures = journal_->find_figures(errors_key(weight));
  const std::size_t offers = open.offers.size();
  std::size_t wanted = 2 * offers;
  for (const pass::Offer& offer : open.offers) wanted += fitted_figures(offer);
  if (!figures || figures->size() != wanted) return std::nullopt;
  const double* at = figures->data();
  OfferErrors errors{{at, at + offers}, {at + offers, at + 2 * offers}};
  at += 2 * offers;
  for (pass::Offer& offer : open.offers) {
    take_fitted(at, offer);
    at += fitted_figures(offer);
  }
  return errors;
}

Status Kept::add_errors(const std::string& weight, const OfferErrors& errors,
                        const pass::OpenWeight& open) const {
  if (journal_ == nullptr) return ok();
  std::vector<double> figures = errors.rounding;
  figures.insert(figures.end(), errors.written.begin(), errors.written.end());
  for (const pass::Offer& offer : open.offers) append_fitted(offer, figures);
  return journal_->add_figures(errors_key(weight), std::move(figures));
}

std::optional<double> Kept::find_divergence(const std::string& key) const {
  if (journal_ == nullptr) return std::nullopt;
  const auto figures = journal_->find_figures(key);
  if (!figures || figures->size() != 1) return std::nullopt;
  return figures->front();
}

Status Kept::add_divergence(const std::string& key, double divergence) const {
  return journal_ == nullptr ? ok() : journal_->add_figures(key, {divergence});
}

}  // namespace thimble::allocate
