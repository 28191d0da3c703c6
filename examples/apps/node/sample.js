// Draws images with onnxruntime-web, in Node: neither Python nor aerepr takes part.
//
//     npm install
//     node sample.js EXPORTS N SEED OUT.ppm
//
// EXPORTS is a folder that `aerepr export --to onnx` wrote for a model of images. Its golden pair is checked first; then N
// samples of SEED are written side by side, in a grid as square as can be.
import { readFile, writeFile } from "node:fs/promises";
import * as ort from "onnxruntime-web/wasm";
// Its threads are those of browsers. The package onnxruntime-node, which has the same interface, uses all cores.
ort.env.wasm.numThreads = 1;

// The upper 32 bits of the product of two unsigned 32-bit numbers; `Math.imul` gives the lower ones.
const high = (a, b) => Number((BigInt(a >>> 0) * BigInt(b)) >> 32n);

const polynomial = (x, coefficients) => coefficients.reduce((sum, next) => sum * x + next);

// The standard normal number of a uniform one: algorithm AS 241.
function normal(u) {
  const q = u - 0.5, r = 0.180625 - q * q, t = Math.sqrt(-Math.log(Math.min(u, 1 - u))) - 1.6;
  const [factor, x, top, bottom] = Math.abs(q) <= 0.425
    ? [q, r, [59.10937472, 159.29113202, 50.434271938, 3.3871327179], [67.1875636, 78.757757664, 17.895169469, 1]]
    : [Math.sign(q), t, [0.17023821103, 1.3067284816, 2.75681539, 1.4234372777], [0.12021132975, 0.7370016425, 1]];
  return (factor * polynomial(x, top)) / polynomial(x, bottom);
}

// Philox4x32-10 of key (low, high half of the seed) and counter (block, 0, row, 0); the top 23 bits of each word.
function noiseOf(rows, width, seed, law) {
  const noise = new Float32Array(rows * width);
  for (let at = 0; at < noise.length; at++) {
    const [row, column] = [Math.floor(at / width), at % width];
    let [a, b, c, d, k, m] = [column >> 2, 0, row, 0, Number(seed & 0xffffffffn), Number(seed >> 32n)];
    for (let round = 0; round < 10; round++) {
      const [p, q] = [high(c, 0xcd9e8d57), high(a, 0xd2511f53)];
      [a, b, c, d] = [p ^ b ^ k, Math.imul(c, 0xcd9e8d57), q ^ d ^ m, Math.imul(a, 0xd2511f53)];
      [k, m] = [(k + 0x9e3779b9) | 0, (m + 0xbb67ae85) | 0];
    }
    const uniform = (([a, b, c, d][column & 3] >>> 9) + 0.5) * 2 ** -23;
    noise[at] = law === "normal" ? normal(uniform) : uniform;
  }
  return noise;
}

async function open(file) {
  const session = await ort.InferenceSession.create(await readFile(file));
  return async (values, rows) => {
    const input = new ort.Tensor("float32", values, [rows, values.length / rows]);
    return (await session.run({ [session.inputNames[0]]: input }))[session.outputNames[0]].data;
  };
}

function check(what, found, expected, limit) {
  if (found.length !== expected.length || found.some((value, i) => !(Math.abs(value - expected[i]) <= limit)))
    throw new Error(`golden ${what}: this machine does not reproduce the exported model`);
}

async function main(folder, n, seed, out) {
  if (!(n >= 1) || !(seed >= 0n && seed < 2n ** 63n)) throw new Error("N must be 1 or more, and SEED from 0 to 2^63 - 1");
  const { data, golden, sampler } = JSON.parse(await readFile(`${folder}/card.json`, "utf8"));
  const [channels, height, width] = data.sizes;
  if (data.kind !== "image" || ![1, 3].includes(channels))
    throw new Error("there is a picture only of images with 1 or 3 channels: this model decodes something else");

  const [draw, decode] = [await open(`${folder}/sampler.onnx`), await open(`${folder}/decoder.onnx`)];
  const noise = noiseOf(1, sampler.noise_dim, BigInt(golden.seed), sampler.noise);
  const z = await draw(noise, 1), image = await decode(z, 1);
  check("noise", noise, golden.noise, golden.tolerance);
  check("z", z, golden.z, golden.tolerance * Math.max(1, ...golden.z.map(Math.abs)));
  check("output", image.filter((_, i) => i % golden.stride === 0), golden.output, golden.tolerance);

  const images = await decode(await draw(noiseOf(n, sampler.noise_dim, seed, sampler.noise), n), n);
  const columns = Math.ceil(Math.sqrt(n)), rows = Math.ceil(n / columns), area = height * width;
  const picture = new Uint8ClampedArray(rows * columns * area * 3);
  for (let i = 0; i < n; i++)
    for (let p = 0; p < area; p++) {
      const [y, x] = [Math.floor(i / columns) * height + Math.floor(p / width), (i % columns) * width + (p % width)];
      for (let c = 0; c < 3; c++)
        picture[(y * columns * width + x) * 3 + c] = 255 * images[(i * channels + Math.min(c, channels - 1)) * area + p];
    }
  const header = `P6\n${columns * width} ${rows * height}\n255\n`;
  await writeFile(out, Buffer.concat([Buffer.from(header), Buffer.from(picture.buffer)]));
}

const [folder, n, seed, out] = process.argv.slice(2);
if (!out || !/^\d+$/.test(n) || !/^\d+$/.test(seed)) {
  console.error("usage: node sample.js EXPORTS N SEED OUT.ppm");
  process.exit(2);
}
main(folder, Number(n), BigInt(seed), out).catch((error) => {
  console.error(`sample: ${error.message}`);
  process.exit(1);
});
