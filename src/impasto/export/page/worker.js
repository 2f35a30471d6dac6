// The painter: photo and style in, picture out, by ONNX Runtime with WebGPU or WebAssembly.
// The formulas are those of `impasto.lite`.

const here = (path) => new URL(path, import.meta.url).href;
const LEAST = 32; // px of the shortest side that a network reads
const GREY = 1.5 / 255;

function tell(words, share = null) {
  postMessage({ words, share });
}

/** An error that is said as it is. */
class Told extends Error {}

// ----------------------------------------------------------------------------------------- networks

/** ONNX Runtime and the networks, each loaded when it is first asked for. */
class Engine {
  constructor(gpu) {
    this.gpu = gpu;
    this.name = gpu ? "WebGPU" : "WebAssembly";
    this.sessions = new Map();
  }

  async session(name, words) {
    if (!this.sessions.has(name)) {
      this.ort ??= await import(here(this.gpu ? "runtime/ort.webgpu.min.mjs" : "runtime/ort.wasm.min.mjs"));
      this.ort.env.wasm.wasmPaths = here("runtime/");
      const model = await loaded(`models/${name}.onnx`, words);
      tell("Preparing");
      const made = await this.ort.InferenceSession.create(model, {
        executionProviders: [this.gpu ? "webgpu" : "wasm"],
        logSeverityLevel: 3,
      });
      this.sessions.set(name, made);
    }
    return this.sessions.get(name);
  }

  tensor({ data, width, height }) {
    return new this.ort.Tensor("float32", data, [1, 3, height, width]);
  }

  /** Planes `(3, H, W)` of a photo, painted with a vector. */
  async paint(photo, vector) {
    const session = await this.session("painter", "Loading the painter");
    tell("Painting");
    const given = { photo: this.tensor(photo), vector: new this.ort.Tensor("float32", vector, [1, vector.length]) };
    const { picture } = await session.run(given);
    return picture.data;
  }

  /** The style vector of a picture. */
  async read(picture) {
    const session = await this.session("reader", "Loading the reader of styles");
    tell("Looking");
    return (await session.run({ picture: this.tensor(picture) })).vector.data;
  }
}

async function adapter() {
  try {
    const found = await navigator.gpu?.requestAdapter();
    return Boolean(found) && !(found.info?.isFallbackAdapter ?? found.isFallbackAdapter);
  } catch {
    return false;
  }
}

async function loaded(path, words) {
  const answer = await fetch(here(path)).catch(() => null);
  if (!answer?.ok) throw new Told(`${path} cannot be loaded; serve the whole folder, and reload.`);
  const total = Number(answer.headers.get("content-length"));
  const parts = [];
  let count = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    count += value.length;
    // A compressed answer is longer than it says.
    if (words) tell(words, total ? Math.min(1, count / total) : null);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// ----------------------------------------------------------------------------------------- pictures

/** Planes `(3, H, W)` in [0, 1] of a file with that long side; what is transparent becomes white. */
async function planes(file, size) {
  const whole = await createImageBitmap(file);
  const scale = size / Math.max(whole.width, whole.height);
  const [width, height] = [Math.round(whole.width * scale), Math.round(whole.height * scale)];
  if (Math.min(width, height) < LEAST) {
    throw new Told(`${file.name} is only ${width}x${height} px at this size; it needs ${LEAST} px a side: take a larger one.`);
  }
  const fitted = scale === 1 ? whole : await createImageBitmap(whole, {
    resizeWidth: width, resizeHeight: height, resizeQuality: "high",
  });
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(fitted, 0, 0);
  const { data: levels } = context.getImageData(0, 0, width, height);
  const count = width * height;
  const data = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < count; i++) data[channel * count + i] = levels[4 * i + channel] / 255;
  }
  return { data, width, height };
}

function picture({ width, height }, data) {
  const found = new ImageData(width, height);
  const count = width * height;
  for (let i = 0; i < count; i++) {
    // A clamped array rounds.
    for (let channel = 0; channel < 3; channel++) found.data[4 * i + channel] = 255 * data[channel * count + i];
    found.data[4 * i + 3] = 255;
  }
  return found;
}

/** Whether a picture has no colour. */
function isGrey({ data }) {
  const count = data.length / 3;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const [r, g, b] = [data[i], data[count + i], data[2 * count + i]];
    sum += Math.max(r, g, b) - Math.min(r, g, b);
  }
  return sum / count < GREY;
}

/** Without colour, as light as it was: the relative luminance of sRGB stays. */
function greyed(data) {
  const count = data.length / 3;
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const found = new Float32Array(data.length);
  for (let i = 0; i < count; i++) {
    const [r, g, b] = [0, 1, 2].map((channel) => linear(Math.min(1, Math.max(0, data[channel * count + i]))));
    const light = (0.212671 * r + 0.71516 * g + 0.072169 * b) / (0.212671 + 0.71516 + 0.072169);
    const grey = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
    found[i] = found[count + i] = found[2 * count + i] = grey;
  }
  return found;
}

// ------------------------------------------------------------------------------------------ painting

const kept = new Map();

/** What `make` gives, from memory as long as the key is the same. */
async function memo(slot, key, make) {
  if (kept.get(slot)?.key !== key) kept.set(slot, { key, value: await make() });
  return kept.get(slot).value;
}

async function vectorOf(engine, style, size) {
  if (style.vector) {
    const bytes = await memo(`vector ${style.key}`, "", () => loaded(style.vector));
    return { vector: new Float32Array(bytes.buffer), grey: false };
  }
  return memo("style", `${style.key} ${size}`, async () => {
    const painting = await planes(style.file, size);
    return { vector: await engine.read(painting), grey: isGrey(painting) };
  });
}

/** The vector that gives a photo itself back, and what it gives. */
async function plainOf(engine, photo, key) {
  return memo("plain", key, async () => {
    const { identity } = await memo("list", "", async () => (await fetch(here("styles.json"))).json());
    const own = identity ? new Float32Array((await loaded(identity)).buffer) : await engine.read(photo);
    return { own, plain: await engine.paint(photo, own) };
  });
}

async function painted(engine, { photo: { file, key }, style, strength, size }) {
  const photo = await memo("photo", `${key} ${size}`, () => planes(file, size));
  const { vector, grey } = await vectorOf(engine, style, size);
  if (strength === 1) {
    const data = await engine.paint(photo, vector);
    return picture(photo, grey ? greyed(data) : data);
  }
  // Below full strength the vector lies between the photo's own and the style's, and what the
  // photo's own leaves out is added back.
  const { own, plain } = await plainOf(engine, photo, `${key} ${size}`);
  const between = own.map((value, i) => value + strength * (vector[i] - value));
  const data = await engine.paint(photo, between);
  return picture(photo, data.map((value, i) => value + (1 - strength) * (photo.data[i] - plain[i])));
}

let engine = null;

onmessage = async ({ data }) => {
  try {
    engine ??= new Engine(await adapter());
    let found;
    try {
      found = await painted(engine, data);
    } catch (error) {
      if (!engine.gpu || error instanceof Told) throw error;
      console.warn("WebGPU failed, and WebAssembly paints:", error);
      engine = new Engine(false);
      found = await painted(engine, data);
    }
    postMessage({ picture: found, engine: engine.name, photo: data.photo.key, name: data.name }, [found.data.buffer]);
  } catch (error) {
    console.error(error);
    const memory = /memory|alloc/i.test(String(error));
    const words = memory
      ? "There is not enough memory for this size; choose a smaller one."
      : "This picture could not be painted here; try a smaller size, or another browser.";
    postMessage({ error: error instanceof Told ? error.message : words });
  }
};
