// Decoded values on a canvas: images as they are, vectors as bars.

const BARS = [480, 320]; // width and height of a picture of a vector

// Sizes a canvas for `count` pictures side by side, with a gap between them.
export function prepare(canvas, data, count) {
  const [width, height] = pictureSize(data);
  canvas.width = width * count + gap(width) * (count - 1);
  canvas.height = height;
  canvas.classList.toggle("image", data.kind === "image");
}

// Picture `row` of `values`, at place `place` of the canvas.
export function paint(canvas, data, values, row, place) {
  const size = data.sizes.reduce((product, side) => product * side, 1);
  const own = values.subarray(row * size, (row + 1) * size);
  const [width, height] = pictureSize(data);
  const context = canvas.getContext("2d");
  const left = place * (width + gap(width));
  if (data.kind === "image") context.putImageData(toPixels(own, data.sizes), left, 0);
  else drawBars(context, own, data.range, left, width, height);
}

function gap(width) {
  return Math.ceil(width / 32);
}

function pictureSize(data) {
  return data.kind === "image" ? [data.sizes[2], data.sizes[1]] : BARS;
}

// Channels are grey, colour, or colour and opacity over white; of any other number the first is shown.
function toPixels(values, [channels, height, width]) {
  const image = new ImageData(width, height);
  const pixels = image.data; // asking for it costs more than a value
  const area = width * height;
  const colours = channels === 3 || channels === 4 ? [0, 1, 2] : [0, 0, 0];
  for (let i = 0; i < area; i++) {
    const opacity = channels === 4 ? values[3 * area + i] : 1;
    // The array clamps to 0..255 and rounds.
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * (1 - opacity + opacity * values[colours[c] * area + i]);
    pixels[4 * i + 3] = 255;
  }
  return image;
}

function drawBars(context, values, [low, high], left, width, height) {
  const bottom = Math.min(low, 0);
  const scale = height / (Math.max(high, 0) - bottom || 1);
  const y = (value) => height - (value - bottom) * scale;
  const step = width / values.length;
  const style = getComputedStyle(context.canvas);
  context.fillStyle = style.getPropertyValue("--paper");
  context.fillRect(left, 0, width, height);
  context.fillStyle = style.color;
  values.forEach((value, i) => {
    const [a, b] = [y(0), y(value)];
    context.fillRect(left + (i + 0.1) * step, Math.min(a, b), 0.8 * step, Math.max(2, Math.abs(a - b)));
  });
}
