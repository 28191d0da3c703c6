// Draws images with libtorch alone: neither Python nor aerepr takes part.
//
//     sample EXPORTS N SEED OUT.ppm
//
// EXPORTS: what `aerepr export --to torchscript` wrote. Its golden pair is checked; then N samples of SEED, in one grid.
#include <torch/script.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

// The number, or the list of numbers, that stands under `key` in a section of the card.
std::vector<float> numbers(const std::string& card, const std::string& section, const std::string& key) {
  const auto start = card.find("\"" + section + "\":");
  const auto found = start == std::string::npos ? start : card.find("\"" + key + "\":", start);
  if (found == std::string::npos) throw std::runtime_error("card.json has no " + section + "." + key + ": export again");
  std::vector<float> values;
  const char* at = card.c_str() + found + key.size() + 3;
  const bool list = *(at += std::strspn(at, " ")) == '[';
  char* end;
  for (float value; value = std::strtof(at += std::strspn(at, "[ ,"), &end), end != at; at = end) {
    values.push_back(value);
    if (!list) break;
  }
  return values;
}

// The whole number of a text; -1 if it is none, or too large.
int64_t whole(const std::string& text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && !*end ? value : -1;
}

int main(int argc, char** argv) try {
  if (argc != 5) return std::cerr << "usage: sample EXPORTS N SEED OUT.ppm\n", 2;
  const std::string folder = argv[1];
  const int64_t n = whole(argv[2]), seed = whole(argv[3]);
  if (n < 1 || seed < 0) throw std::runtime_error("N must be 1 or more, and SEED from 0 to 2^63 - 1");
  std::ifstream file(folder + "/card.json");
  if (!file) throw std::runtime_error(folder + " holds no card.json: name a folder that `aerepr export` wrote");
  const std::string card{std::istreambuf_iterator<char>(file), {}};
  const auto sizes = numbers(card, "data", "sizes");
  if (sizes.size() != 3 || (sizes[0] != 1 && sizes[0] != 3))
    throw std::runtime_error("there is a picture only of images with 1 or 3 channels: this model decodes something else");

  const torch::InferenceMode no_gradients;
  const torch::jit::GraphOptimizerEnabledGuard as_written(false);  // first calls are not specialised, which is slow
  auto model = torch::jit::load(folder + "/decoder.ts");
  const auto sample = [&](int64_t count, int64_t of) { return model.get_method("sample")({count, of}).toTensor(); };
  const auto expected = torch::tensor(numbers(card, "golden", "output"));
  const auto found = sample(1, int64_t(numbers(card, "golden", "seed").at(0))).flatten();
  const auto kept = found.slice(0, 0, {}, int64_t(numbers(card, "golden", "stride").at(0)));
  if (kept.sizes() != expected.sizes() || !kept.allclose(expected, 0, numbers(card, "golden", "tolerance").at(0)))
    throw std::runtime_error("golden output: this machine does not reproduce the exported model");

  // Images (N, C, H, W) to one picture (rows * H, columns * W, 3) of bytes; what is left of the last row stays black.
  const int64_t columns = std::ceil(std::sqrt(double(n))), rows = (n + columns - 1) / columns;
  const auto images = sample(n, seed).mul(255).round().clamp(0, 255).to(torch::kUInt8).expand({n, 3, -1, -1});
  const int64_t height = images.size(2), width = images.size(3);
  const auto cells = torch::cat({images, images.new_zeros({rows * columns - n, 3, height, width})});
  const auto picture = cells.view({rows, columns, 3, height, width}).permute({0, 3, 1, 4, 2}).contiguous();
  std::ofstream out(argv[4], std::ios::binary);
  out << "P6\n" << columns * width << " " << rows * height << "\n255\n";
  if (!out.write(static_cast<const char*>(picture.data_ptr()), picture.numel()).flush())
    throw std::runtime_error(std::string("cannot write ") + argv[4]);
  return 0;
} catch (const c10::Error& error) {
  return std::cerr << "sample: " << error.what_without_backtrace() << "\n", 1;
} catch (const std::exception& error) {
  return std::cerr << "sample: " << error.what() << "\n", 1;
}
