// The page: sliders over the latent dimensions, what their code decodes to, strips that show where each leads, samples, and
// where the model moves codes by itself, strips of that.
import { paint, prepare } from "./paint.js";
import { Decoder, Lanes } from "./decoder.js";
import { SEED_LIMIT, sampleNoise } from "./noise.js";

const STRIP = 7; // pictures in a strip
const REST_MS = 150; // strips are made anew, and the picture is described, once the sliders have rested this long
const PATIENCE_MS = 40; // what a moving slider may have to wait for a strip or sample that is being decoded
const WORKER_MS = 3000; // what a service worker may take to start
const FRAME_MS = 250; // how long each picture of a transformation that is played stays

const byId = (id) => document.getElementById(id);
const say = (text) => (byId("status").textContent = text);
const lanes = new Lanes(["picture", "samples", "strips"], fail);

let card, decoder, sliders;
let motions = []; // transformations that codes can be carried along
let code = new Float32Array(); // what the sliders stand for, exactly
let version = 0; // how often the code has changed

try {
  if (!(await isolated())) await start();
} catch (error) {
  fail(error);
}

function fail(error) {
  const status = byId("status");
  status.classList.add("problem");
  status.textContent = `This page cannot go on. ${error.message ?? error}`;
}

// Browsers give threads to isolated pages only. Where the server does not ask for that, a service worker does, after one reload.
async function isolated() {
  if (crossOriginIsolated || !navigator.serviceWorker) return false;
  try {
    if (sessionStorage.getItem("isolation tried")) return false;
    sessionStorage.setItem("isolation tried", "yes");
    await navigator.serviceWorker.register("isolate.js");
    await Promise.race([navigator.serviceWorker.ready, new Promise((_, reject) => setTimeout(reject, WORKER_MS))]);
  } catch {
    return false; // a private window, say, or site data is blocked: one thread does
  }
  location.reload();
  return true;
}

async function start() {
  say("Loading the decoder …");
  byId("insecure").hidden = isSecureContext;
  const answer = await fetch("card.json", { cache: "no-cache" });
  if (!answer.ok) throw new Error(`card.json: the server answers ${answer.status}. Serve the whole folder that was exported.`);
  card = await answer.json();
  decoder = new Decoder();
  const backend = new URLSearchParams(location.search).get("backend");
  await decoder.open(card, backend);
  describe(decoder.engine);
  prepare(byId("picture"), card.data, 1);
  sliders = card.layout.flatMap(makeVariable);
  motions = Object.entries(card.graphs).flatMap(makeMotions);
  byId("motions").parentElement.hidden = !motions.length;
  byId("reset").addEventListener("click", () => {
    setCode(card.codes.map((range) => range.mean));
    say("The sliders are at the mean of the training codes.");
  });
  byId("draw").addEventListener("submit", (event) => {
    event.preventDefault();
    drawSamples();
  });
  byId("next").addEventListener("click", nextSeed);
  document.querySelector("main").hidden = false;
  // A code that the sampler gives: between all that the training codes are, the mean itself may look like nothing.
  setCode(card.golden.z);
  drawSamples();
  // For scripts, the console and tests.
  window.explorer = { card, engine: decoder.engine, decoder, lanes, setCode, code: () => Array.from(code) };
}

function describe(engine) {
  const { name, recipe, latent_dim, layout, sampler, data } = card;
  const what = data.kind === "image" ? `images of ${data.sizes[1]} × ${data.sizes[2]} pixels` : `${data.sizes[0]} numbers`;
  document.title = `${name}: latent space`;
  byId("name").textContent = name;
  byId("about").textContent =
    `${recipe && recipe !== name ? `${recipe}, ` : ""}${latent_dim} latent dimensions in ${layout.length} ` +
    `variable${layout.length === 1 ? "" : "s"}, decoded to ${what}`;
  byId("sampler").textContent =
    `Codes of the ${sampler.name} sampler. One seed gives the same pictures here, in Python, in C++ and in Node. ` +
    "Choose one to set the sliders to its code.";
  const badge = byId("engine");
  const threads = `${engine.threads} thread${engine.threads === 1 ? "" : "s"}`;
  badge.textContent = engine.backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads}`;
  badge.title = engine.notes.join("\n");
  badge.hidden = false;
}

// Sliders.

// A slider for each dimension of a variable; several of them form a group.
function makeVariable({ name, start, stop }) {
  if (stop - start === 1) return [makeSlider(byId("sliders"), start, name)];
  const group = byId("sliders").appendChild(document.createElement("fieldset"));
  group.appendChild(document.createElement("legend")).textContent = name;
  return Array.from({ length: stop - start }, (_, i) => makeSlider(group, start + i, `${name}.${i + 1}`));
}

function makeSlider(parent, dimension, name) {
  const { min, max } = card.codes[dimension];
  const row = parent.appendChild(document.createElement("div"));
  row.className = "slider";
  // The value is no <output>: readers say it with the slider, and would say it twice.
  const [label, value, strip, input] = ["label", "span", "canvas", "input"].map((tag) =>
    row.appendChild(document.createElement(tag)),
  );
  label.textContent = name;
  label.htmlFor = input.id = `z${dimension}`;
  Object.assign(input, { type: "range", min, max, step: (max - min) / 200 || "any", disabled: min === max });
  input.addEventListener("input", () => move(dimension, Number(input.value)));
  prepare(strip, card.data, STRIP);
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", `Where ${name} leads, from ${min.toFixed(2)} to ${max.toFixed(2)}, the others as they are`);
  strip.addEventListener("click", (event) => {
    const place = Math.floor((event.offsetX / strip.clientWidth) * STRIP);
    move(dimension, valueAt(dimension, Math.min(STRIP - 1, Math.max(0, place))));
    input.value = code[dimension];
  });
  const slider = { dimension, input, value, strip, stale: true, visible: false, draw: () => drawStrip(slider, STRIP, codes) };
  return watched(slider);

  function codes() {
    return Array.from({ length: STRIP }, (_, place) => {
      const z = code.slice();
      z[dimension] = valueAt(dimension, place);
      return z;
    });
  }
}

// A strip is drawn once it is in sight.
function watched(shown) {
  new IntersectionObserver(([entry]) => {
    shown.visible = entry.isIntersecting;
    if (shown.visible && shown.stale) refreshStrips();
  }).observe(shown.strip);
  return shown;
}

// Transformations: an entry of the card that says of itself what its weights stand for, each of them by itself.

function makeMotions([graph, { motion }]) {
  if (!motion || !card.files[`${graph}.onnx`]) return [];
  return motion.names.map((name, k) => {
    const weights = Float32Array.from(motion.names, (_, i) => Number(i === k));
    return makeMotion(graph, name, weights, motion.steps);
  });
}

function makeMotion(graph, name, weights, steps) {
  const count = 2 * steps + 1;
  const row = byId("motions").appendChild(document.createElement("div"));
  row.className = "motion";
  const [label, buttons, strip] = ["strong", "span", "canvas"].map((tag) => row.appendChild(document.createElement(tag)));
  label.textContent = name;
  prepare(strip, card.data, count);
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", `Where ${name} carries the code, ${steps} steps back to ${steps} steps forward`);
  let known; // the codes of the strip, and which change of the sliders they belong to
  const path = async () => {
    if (known?.version !== version) known = { version, codes: await carried(graph, weights, steps) };
    return known.codes;
  };
  const go = async (place) => {
    setCode((await path())[place]);
    const far = Math.abs(place - steps);
    say(`The sliders are ${far} step${far === 1 ? "" : "s"} of ${name} further ${place < steps ? "back" : "forward"}.`);
  };
  strip.addEventListener("click", (event) => {
    const place = Math.floor((event.offsetX / strip.clientWidth) * count);
    go(Math.min(count - 1, Math.max(0, place))).catch(fail);
  });
  // What a click in the strip does, for the keyboard too: a step at a time leads everywhere.
  const actions = {
    [`Back along ${name}`]: () => go(steps - 1),
    [`Play ${name}`]: async () => play(name, await path()),
    [`Forward along ${name}`]: () => go(steps + 1),
  };
  for (const [title, act] of Object.entries(actions)) {
    const button = buttons.appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", textContent: title.split(" ")[0] });
    button.setAttribute("aria-label", title);
    button.addEventListener("click", () => act().catch(fail));
  }
  const shown = { strip, stale: true, visible: false, draw: () => drawStrip(shown, count, path) };
  return watched(shown);
}

// The code of the sliders with what follows it and, backward, precedes it. A step back is the step at that code, taken away.
async function carried(graph, weights, steps) {
  const size = code.length;
  let [back, forth] = [code.slice(), code.slice()];
  const codes = [code.slice()];
  for (let t = 1; t <= steps; t++) {
    const z = new Float32Array(2 * size);
    z.set(back);
    z.set(forth, size);
    const next = await decoder.move(graph, z, 2, t, weights);
    back = back.map((value, i) => 2 * value - next[i]);
    forth = next.slice(size);
    codes.unshift(back);
    codes.push(forth);
  }
  return codes;
}

// Shows codes one after another, then what the sliders stand for again, unless they move meanwhile.
async function play(name, codes) {
  const begun = version;
  say(`Playing ${name} …`);
  for (const z of codes) {
    if (version !== begun) return;
    lanes.replace("picture", [() => show(z)]);
    await new Promise((resolve) => setTimeout(resolve, FRAME_MS));
  }
  if (version !== begun) return;
  lanes.replace("picture", [showPicture]);
  say(`${name} was played.`);
}

// The value of a dimension at one of the places of its strip.
function valueAt(dimension, place) {
  const { min, max } = card.codes[dimension];
  return min + ((max - min) * place) / (STRIP - 1);
}

function move(dimension, value) {
  code[dimension] = value;
  showValue(dimension);
  changed((slider) => slider.dimension !== dimension);
}

function setCode(values) {
  code = Float32Array.from(values);
  for (const { dimension, input } of sliders) {
    input.value = code[dimension];
    showValue(dimension);
  }
  changed(() => true);
}

function showValue(dimension) {
  const { input, value } = sliders[dimension];
  value.textContent = code[dimension].toFixed(2);
  input.setAttribute("aria-valuetext", value.textContent);
}

// The picture follows at once. Only the newest code waits for its turn, so that moves never queue up.
function changed(outdated) {
  version += 1;
  lanes.replace("picture", [showPicture]);
  lanes.replace("strips", []);
  for (const shown of [...sliders.filter(outdated), ...motions]) {
    shown.stale = true;
    shown.strip.classList.add("stale");
  }
  refreshStrips();
}

function showPicture() {
  return show(code.slice());
}

async function show(z) {
  const { values, ms } = await decoder.decode(z.slice(), 1);
  const canvas = byId("picture");
  paint(canvas, card.data, values, 0, 0);
  canvas.dispatchEvent(new CustomEvent("painted", { detail: { z, values, ms } }));
  clearTimeout(show.timer);
  show.timer = setTimeout(() => describePicture(canvas, z, values, ms), REST_MS);
}

function describePicture(canvas, z, values, ms) {
  const numbers = (all) => Array.from(all, (value) => value.toFixed(2)).join(", ");
  const result = card.data.kind === "image" ? "" : `: ${numbers(values)}`;
  canvas.setAttribute("aria-label", `The code (${numbers(z)}), decoded${result}`);
  byId("time").textContent = `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

// Strips: only those in sight, a few pictures at a time, once the sliders rest.

function refreshStrips() {
  clearTimeout(refreshStrips.timer);
  refreshStrips.timer = setTimeout(() => {
    const wanted = [...sliders, ...motions].filter((strip) => strip.visible && strip.stale);
    lanes.replace(
      "strips",
      wanted.map((strip) => strip.draw()),
    );
  }, REST_MS);
}

// The job that draws a strip of so many codes.
function drawStrip(shown, count, codesOf) {
  const begun = version;
  let done = 0;
  return async function step() {
    const codes = await codesOf();
    const rows = Math.min(count - done, decoder.rowsWithin(PATIENCE_MS));
    const z = new Float32Array(rows * code.length);
    for (let i = 0; i < rows; i++) z.set(codes[done + i], i * code.length);
    const { values } = await decoder.decode(z, rows);
    if (version !== begun) return null;
    for (let i = 0; i < rows; i++) paint(shown.strip, card.data, values, i, done + i);
    done += rows;
    if (done < count) return step;
    shown.stale = false;
    shown.strip.classList.remove("stale");
    return null;
  };
}

// Samples.

function readSeed() {
  const text = byId("seed").value.trim();
  const good = /^\d{1,19}$/.test(text) && BigInt(text) < SEED_LIMIT;
  byId("seed").toggleAttribute("aria-invalid", !good);
  byId("seed-problem").textContent = good ? "" : `A seed is a whole number from 0 to ${SEED_LIMIT - 1n}.`;
  return good ? BigInt(text) : null;
}

function nextSeed() {
  const seed = readSeed();
  if (seed === null) return;
  byId("seed").value = String((seed + 1n) % SEED_LIMIT);
  drawSamples();
}

function drawSamples() {
  const seed = readSeed();
  if (seed === null) return;
  const count = Number(byId("count").value);
  const { noise_dim, noise: law } = card.sampler;
  const noise = sampleNoise(count, noise_dim, seed, law);
  const cells = Array.from({ length: count }, makeSample);
  byId("samples").replaceChildren(...cells.map((cell) => cell.item));
  let done = 0;
  lanes.replace("samples", [
    async function step() {
      const rows = Math.min(count - done, decoder.rowsWithin(PATIENCE_MS));
      const z = await decoder.draw(noise.slice(done * noise_dim, (done + rows) * noise_dim), rows);
      const { values } = await decoder.decode(z.slice(), rows);
      for (let i = 0; i < rows; i++) {
        const number = done + i + 1;
        const { canvas, button } = cells[done + i];
        paint(canvas, card.data, values, i, 0);
        button.disabled = false;
        button.addEventListener("click", () => {
          setCode(z.subarray(i * code.length, (i + 1) * code.length));
          say(`The sliders are at the code of sample ${number} of seed ${seed}.`);
        });
      }
      done += rows;
      if (done < count) return step;
      say(`${count} samples of seed ${seed} are drawn.`);
      return null;
    },
  ]);
}

function makeSample(_, index) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  const canvas = button.appendChild(document.createElement("canvas"));
  Object.assign(button, { type: "button", disabled: true });
  button.setAttribute("aria-label", `Sample ${index + 1}: set the sliders to its code`);
  prepare(canvas, card.data, 1);
  return { item, button, canvas };
}
