/**
 * In place of a service: what a page asks for below v1/ is answered in this browser. What never changes lies beside
 * the page in files, as the service wrote it; the rest is computed. It is loaded before the page's own script.
 */

/** What would be an error of the service; `message` is its detail, for people to read. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Answers this page's requests.
 *
 * @param {[string, RegExp, (asked: {query: URLSearchParams, body: any, match: string[]}) => object][]} routes
 *   method, path below the page, and what returns the answer, or a promise of it
 */
export function answerHere(routes) {
  const network = globalThis.fetch.bind(globalThis);
  const page = new URL(".", document.baseURI);
  globalThis.fetch = async (resource, options = {}) => {
    const address = new URL(resource.url ?? resource, page);
    const path = address.href.startsWith(page.href) ? address.pathname.slice(page.pathname.length) : "";
    if (!path.startsWith("v1/")) return network(resource, options);
    for (const [method, pattern, answer] of routes) {
      const match = path.match(pattern);
      const body = typeof options.body === "string" ? JSON.parse(options.body) : options.body;
      if (match && method === (options.method ?? "GET")) return respond(answer, { query: address.searchParams, body, match });
    }
    return network(/\.\w+$/.test(path) ? path : `${path}.json`);
  };
}

async function respond(answer, asked) {
  try {
    return Response.json(await answer(asked));
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    const [status, title] = error instanceof Refusal ? [error.status, "Not answered"] : [500, "The demo failed"];
    const problem = { status, title, detail: error.message, errors: [{ field: "", value: null, message: error.message }] };
    return Response.json(problem, { status });
  }
}

/** The JSON of a file, or a promise that fails for people to read. */
export async function loadJson(path) {
  return (await load(path)).json();
}

/** The arrays that the build wrote: name -> {shape, values}, all of them float32, row by row. */
export async function loadArrays(folder) {
  const [table, file] = await Promise.all([loadJson(`${folder}/arrays.json`), load(`${folder}/arrays.bin`)]);
  const bytes = await file.arrayBuffer();
  const entries = Object.entries(table).map(([name, { shape, offset }]) => {
    const length = shape.reduce((product, side) => product * side, 1);
    return [name, { shape, values: new Float32Array(bytes, offset, length) }];
  });
  return Object.fromEntries(entries);
}

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Refusal(503, `The model cannot be loaded: ${path} has status ${response.status}.`);
  return response;
}

/** Says in the page's notice that the model is there, or that it is not. */
export async function showLoading(loading) {
  const state = document.getElementById("demo-state");
  try {
    await loading;
    state.textContent = "The model is loaded.";
  } catch (error) {
    state.textContent = `The model cannot be loaded: ${error.message}`;
  }
}
