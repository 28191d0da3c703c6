// The noise of a seed: Philox4x32-10 and AS 241, as aerepr's docs/noise.md has them. The same bits as in every other host.

export const SEED_LIMIT = 2n ** 63n;

// Noise of `rows` samples, `width` numbers each, row after row. `seed` is a BigInt; `law` is "uniform" or "normal".
export function sampleNoise(rows, width, seed, law) {
  const noise = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++)
    for (let block = 0; 4 * block < width; block++)
      words(seed, row, block).forEach((word, i) => {
        const column = 4 * block + i;
        if (column >= width) return;
        const uniform = ((word >>> 9) + 0.5) * 2 ** -23;
        noise[row * width + column] = law === "normal" ? toNormal(uniform) : uniform;
      });
  return noise;
}

export function words(seed, row, block) {
  let [a, b, c, d] = [block, 0, row, 0];
  let [k, m] = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  for (let round = 0; round < 10; round++) {
    [a, b, c, d] = [
      high(c, 0xcd9e8d57) ^ b ^ k,
      Math.imul(c, 0xcd9e8d57),
      high(a, 0xd2511f53) ^ d ^ m,
      Math.imul(a, 0xd2511f53),
    ];
    [k, m] = [(k + 0x9e3779b9) | 0, (m + 0xbb67ae85) | 0];
  }
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

// The upper 32 bits of the product of two unsigned 32-bit numbers, from 16-bit halves; `Math.imul` gives the lower ones.
function high(a, b) {
  const [x, y, v, w] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = x * w + ((y * w) >>> 16);
  const low = y * v + (middle & 0xffff);
  return (x * v + Math.floor(middle / 65536) + Math.floor(low / 65536)) | 0;
}

function toNormal(u) {
  const q = u - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    const top = ((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179;
    return (q * top) / (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1);
  }
  const r = Math.sqrt(-Math.log(Math.min(u, 1 - u))) - 1.6;
  const top = ((0.17023821103 * r + 1.3067284816) * r + 2.75681539) * r + 1.4234372777;
  return (Math.sign(q) * top) / ((0.12021132975 * r + 0.7370016425) * r + 1);
}
