
// What `decoder.ts` gives N samples of SEED, as float32 bytes on standard output: the images, then their codes.
void values(const std::string& file, int64_t n, int64_t seed) {
  const torch::InferenceMode no_gradients;
  auto model = torch::jit::load(file);
  for (const std::string function : {"sample", "draw"}) {
    const auto found = model.get_method(function)({n, seed}).toTensor().contiguous();
    std::cout.write(static_cast<const char*>(found.data_ptr()), found.nbytes());
  }
}

// The end of one program made of three, for headers of libtorch compile in many times the time of all else: `app` is the
// `main` of examples/apps/cpp/sample.cpp, `document` that of docs/exports.md.
int main(int count, char** arguments) {
  const std::string first = count > 1 ? arguments[1] : "";
  if (first == "values") return values(arguments[2], std::stoll(arguments[3]), std::stoll(arguments[4])), 0;
  if (first == "document") return document(), 0;
  return app(count, arguments);
}
