// The exported graphs as functions, and the order in which the page's wishes are served.
import { run, start } from "./engine.js";

// The page decodes single codes itself if they take no longer, half of a frame: on its way through the worker a picture would miss
// the frame that its slider moves in, and on few cores be decoded while the browser draws that. All else is left to the worker.
const QUICK_MS = 8;

export class Decoder {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;
  #rowMs = Infinity; // of the last decoding, a row
  #card;
  #own = "no"; // whether the page has opened the decoder itself: no, opening, yes, or cannot

  engine; // which backend serves, on how many threads, and in `notes` why another does not
  rows = 0; // decoded so far

  constructor() {
    this.#worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.ready ?? data);
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(event.message || "the worker cannot be loaded"));
    };
  }

  // Loads the files and checks the golden pair.
  async open(card, backend) {
    this.#card = card;
    this.engine = await this.#ask(undefined, { card, backend }, []);
  }

  // Whether single codes are decoded in the page.
  get here() {
    return this.#own === "yes";
  }

  // { values, ms } of codes, row after row. Hands `z` over.
  async decode(z, rows) {
    const answer = await (this.here && rows === 1 ? this.#decodeHere(z) : this.#call("decoder", rows, z));
    this.#rowMs = answer.ms / rows;
    // Not before it is warm, since browsers compile twice.
    if (this.#own === "no" && this.#rowMs <= QUICK_MS && this.engine.backend === "wasm") this.#openHere();
    this.rows += rows;
    return answer;
  }

  // Codes of noise. Hands `noise` over.
  async draw(noise, rows) {
    return (await this.#call("sampler", rows, noise)).values;
  }

  // The next codes of a graph that moves them: step t, which weights. Hands `z` over.
  async move(graph, z, rows, t, weights) {
    const every = new Float32Array(rows * weights.length);
    for (let i = 0; i < rows; i++) every.set(weights, i * weights.length);
    return (await this.#call(graph, rows, z, new Float32Array(rows).fill(t), every)).values;
  }

  // How many rows can be decoded in about that time; at least one.
  rowsWithin(ms) {
    return Math.max(1, Math.floor(ms / this.#rowMs));
  }

  async #openHere() {
    this.#own = "opening";
    try {
      await start(this.#card, ["decoder"], "wasm");
      this.#own = "yes";
    } catch (error) {
      this.#own = "cannot"; // the worker goes on
      this.engine.notes.push(`in the page itself: ${error.message ?? error}`);
    }
  }

  async #decodeHere(z) {
    const began = performance.now();
    const values = await run("decoder", 1, [z]);
    return { values, ms: performance.now() - began };
  }

  #call(graph, rows, ...inputs) {
    const id = this.#next++;
    return this.#ask(
      id,
      { id, graph, rows, inputs },
      inputs.map((values) => values.buffer),
    );
  }

  #ask(id, message, handed) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage(message, handed);
    });
  }
}

// Jobs one at a time, those of an earlier lane first. New jobs of a lane take the place of those it still had.
// A job is an async function; what it returns, if anything, is the job that goes on in its place.
export class Lanes {
  #jobs;
  #fail;
  #running = false;

  constructor(names, fail) {
    this.#jobs = new Map(names.map((name) => [name, []]));
    this.#fail = fail;
  }

  replace(name, jobs) {
    this.#jobs.set(name, Array.from(jobs));
    if (!this.#running) this.#run();
  }

  get idle() {
    return !this.#running;
  }

  async #run() {
    this.#running = true;
    try {
      for (let jobs; (jobs = this.#first()); ) {
        const rest = await jobs[0]();
        // Unless the lane was given other jobs meanwhile, this one is done or goes on.
        if (rest) jobs[0] = rest;
        else jobs.shift();
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#running = false;
  }

  #first() {
    for (const jobs of this.#jobs.values()) if (jobs.length) return jobs;
    return null;
  }
}
