/** The pictures page without a service: the same network in onnxruntime-web, and the same rules around it. */

import * as ort from "./ort/ort.wasm.bundle.min.mjs";
import { Refusal, answerHere, loadArrays, loadJson, showLoading } from "./local_service.js";
import { unfamiliarity } from "./novelty.js";
import { decode, enlarge, toPixels } from "./pixels.js";

ort.env.logLevel = "error";
ort.env.wasm.numThreads = 1; // more need headers that a host of files does not send
ort.env.wasm.wasmPaths = { wasm: new URL("ort/ort-wasm-simd-threaded.wasm", import.meta.url).href };

const model = loadModel();
showLoading(model);
let turn = Promise.resolve(); // a network answers one question at a time

async function loadModel() {
  const [rules, arrays, session] = await Promise.all([
    loadJson("model/rules.json"),
    loadArrays("model"),
    ort.InferenceSession.create("model/model.onnx", { executionProviders: ["wasm"] }),
  ]);
  return { rules, arrays, session };
}

async function classify({ query, body }) {
  const { rules, arrays, session } = await model;
  const file = body.get("files");
  const picture = await read(file, rules);
  const { pixels, crop } = toPixels(picture, rules.preprocessing);
  const side = rules.preprocessing.crop;
  const run = turn.then(() => session.run({ pictures: new ort.Tensor("uint8", pixels, [1, side, side, 3]) }));
  turn = run.catch(() => {});
  const { probabilities, embedding, maps } = await run;
  const order = Array.from(probabilities.data.keys()).sort((a, b) => probabilities.data[b] - probabilities.data[a]);
  const novelty = unfamiliarity(embedding.data, order[0], arrays, rules.novelty);
  const heat = query.get("heat") === "true" ? await drawHeat(maps, order[0], rules) : null;
  const topK = Number(query.get("top_k") ?? 5);
  return { results: [{ file: file.name, ...answer(probabilities.data, order, novelty, rules, topK), heat, crop, error: null }] };
}

async function read(file, { preprocessing, min_side }) {
  const picture = await decode(file, preprocessing.resize).catch(() => {
    throw new Refusal(415, "This browser reads no picture in the file. Save it as JPEG, PNG or WebP.");
  });
  if (Math.min(picture.width, picture.height) >= min_side) return picture;
  const size = `The picture is ${picture.width} x ${picture.height} pixels, and each side needs at least ${min_side}.`;
  throw new Refusal(422, `${size} Send a larger one.`);
}

/** As `Predictor` decides it and `schemas.result_of` says it. */
function answer(probabilities, order, novelty, rules, topK) {
  const sum = probabilities.reduce((total, probability) => total + probability, 0);
  const within = order.filter((label) => probabilities[label] >= rules.least_probability);
  const labelSet = (within.length ? within : order.slice(0, 1)).map((label) => rules.labels[label]);
  return {
    predictions: order.slice(0, topK).map((label) => ({ label: rules.labels[label], probability: probabilities[label] / sum })),
    label_set: labelSet,
    coverage: rules.coverage,
    unsure: unsureOf(novelty, probabilities[order[0]] < rules.least_confidence, labelSet, rules),
  };
}

function unsureOf(novelty, isAmbiguous, labelSet, rules) {
  if (novelty > 1) return { reason: "unfamiliar", detail: rules.unfamiliar };
  if (!isAmbiguous) return null;
  const [last, ...others] = [...labelSet].reverse();
  const several = `The picture may show ${others.reverse().join(", ")} or ${last}.`;
  const one = `The picture may show ${last}, but no label is probable enough to rely on.`;
  return { reason: "ambiguous", detail: others.length ? several : one };
}

/** Where the evidence for a label lies, as a picture in a data URL. */
async function drawHeat({ data, dims: [, , height, width] }, label, { colors, preprocessing }) {
  const evidence = data.slice(label * height * width, (label + 1) * height * width).map((value) => Math.max(value, 0));
  const most = Math.max(...evidence, 1e-12);
  const map = { width, height, channels: 1, values: evidence.map((value) => value / most) };
  const side = preprocessing.crop;
  const painted = new ImageData(side, side);
  enlarge(map, side).forEach((share, i) => painted.data.set(colors[Math.round(255 * Math.min(share, 1))], 4 * i));
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").putImageData(painted, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
  return `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
}

answerHere([["POST", /^v1\/classifications$/, classify]]);
