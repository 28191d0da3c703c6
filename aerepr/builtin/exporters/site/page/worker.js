// Runs decoder, sampler and what moves codes away from the page's own thread, so that the page answers while it computes.
//
// The first message is { card, backend }; the answer is { ready }, what engine.js says of its start. Every later one is
// { id, graph, rows, inputs }, the values of its inputs in order, answered by { id, values, ms }. What goes wrong is answered by
// { id, error }.
import { run, start } from "./engine.js";

self.onmessage = async ({ data }) => {
  try {
    if (data.card) {
      self.postMessage({ ready: await start(data.card, graphs(data.card), data.backend) });
    } else {
      const began = performance.now();
      const values = await run(data.graph, data.rows, data.inputs);
      self.postMessage({ id: data.id, values, ms: performance.now() - began }, [values.buffer]);
    }
  } catch (error) {
    self.postMessage({ id: data.id, error: String(error.message ?? error) });
  }
};

function graphs(card) {
  const moving = Object.keys(card.graphs).filter((name) => card.graphs[name].motion && card.files[`${name}.onnx`]);
  return ["decoder", "sampler", ...moving];
}
