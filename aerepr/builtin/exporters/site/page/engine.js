// The exported graphs of this thread, opened on the first backend that reproduces the golden pair. The page's worker has all of
// them, the page itself its decoder if that is quick.
import { sampleNoise } from "./noise.js";

const RUNTIME = { webgpu: "../runtime/ort.webgpu.js", wasm: "../runtime/ort.wasm.js" };

let ort, card, sessions;

// Opens the graphs of those names, the decoder among them. Which backend they run on, on how many threads, and in `notes` why
// another did not serve.
export async function start(description, names, wanted) {
  card = description;
  const files = await Promise.all(names.map(async (name) => [name, await checkedFile(`${name}.onnx`)]));
  const notes = [];
  for (const backend of wanted ? [wanted] : Object.keys(RUNTIME)) {
    try {
      const threads = await open(backend, files, Boolean(wanted));
      await checkGolden();
      return { backend, threads, notes };
    } catch (error) {
      notes.push(`${backend}: ${error.message ?? error}`);
    }
  }
  throw new Error(notes.join("; "));
}

async function checkedFile(name) {
  const answer = await fetch(new URL(`../${name}`, import.meta.url), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  // Browsers hash only on pages served from this machine or over https.
  if (crypto.subtle) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== card.files[name]?.sha256) throw new Error(`${name} is not the file card.json describes: export again`);
  }
  return bytes;
}

async function open(backend, files, slowToo) {
  if (backend === "webgpu") {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) throw new Error("this browser offers none");
    // One that computes on the processor is many times slower than WebAssembly.
    if (adapter.info?.isFallbackAdapter && !slowToo) throw new Error("this browser only imitates one");
  }
  ort = await import(RUNTIME[backend]);
  ort.env.logLevel = "error";
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  sessions = {};
  for (const [name, file] of files)
    sessions[name] = await ort.InferenceSession.create(new Uint8Array(file), {
      // The others only look codes up or move them, which no graphics card does faster.
      executionProviders: [name === "decoder" ? backend : "wasm"],
      logSeverityLevel: 3,
    });
  return threads;
}

// The values of a graph for inputs in order, of so many rows.
export async function run(graph, rows, inputs) {
  const session = sessions[graph];
  const feeds = session.inputNames.map((name, i) => {
    const sizes = card.graphs[graph].inputs[name]; // the first is the batch
    return [name, new ort.Tensor("float32", inputs[i], [rows, ...sizes.slice(1)])];
  });
  const output = (await session.run(Object.fromEntries(feeds)))[session.outputNames[0]];
  // A copy: the runtime's own memory cannot be handed to the page.
  return new Float32Array(await output.getData());
}

async function checkGolden() {
  const { golden, sampler, data } = card;
  const noise = sampleNoise(1, sampler.noise_dim, BigInt(golden.seed), sampler.noise);
  compare("noise", noise, golden.noise, golden.tolerance);
  if (sessions.sampler) {
    const z = await run("sampler", 1, [Float32Array.from(golden.noise)]);
    const codes = span(Math.min(...card.codes.map((code) => code.min)), Math.max(...card.codes.map((code) => code.max)));
    compare("z", z, golden.z, golden.tolerance * codes);
  }
  const output = (await run("decoder", 1, [Float32Array.from(golden.z)])).filter((_, i) => i % golden.stride === 0);
  compare("output", output, golden.output, golden.tolerance * span(...data.range));
}

// What differences are relative to: the range, 0 included.
function span(low, high) {
  return Math.max(high, 0) - Math.min(low, 0) || 1;
}

function compare(what, found, expected, limit) {
  const same = found.length === expected.length && found.every((value, i) => Math.abs(value - expected[i]) <= limit);
  if (!same) throw new Error(`golden ${what}: this browser does not reproduce the exported model`);
}
