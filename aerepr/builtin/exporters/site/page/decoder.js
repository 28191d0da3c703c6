// The worker's graphs as functions, and the order in which the page's wishes are served.

export class Decoder {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;
  #rowMs = Infinity; // of the last decoding, a row

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
  open(card, backend) {
    return this.#ask(undefined, { card, backend }, []);
  }

  // { values, ms } of codes, row after row. Hands `z` over.
  async decode(z, rows) {
    const answer = await this.#call("decoder", rows, z);
    this.#rowMs = answer.ms / rows;
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
