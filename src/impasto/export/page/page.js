// The page: what is chosen goes to the worker, what it paints is shown. Pictures stay on this device.

const $ = (id) => document.getElementById(id);
const canvas = $("canvas");
const downloads = [...document.querySelectorAll("button[data-type]")];
const state = { photo: null, shown: null, painted: null, busy: false, again: false, own: 0, begun: 0 };

// A worker that starts from a blob has this page's content-security policy; one from a file has none.
const code = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });

function fail(words) {
  $("error").textContent = words;
  rest("");
}

function rest(words) {
  state.busy = false;
  $("bar").hidden = true;
  $("status").textContent = words;
}

// ------------------------------------------------------------------------------------------- styles

function tile(value, title, note, picture, chosen) {
  const label = document.createElement("label");
  label.className = "tile";
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "style", value, checked: chosen });
  const name = document.createElement("b");
  name.textContent = title;
  const by = document.createElement("small");
  by.textContent = note;
  label.append(input, picture, name, by);
  return { label, input };
}

async function list() {
  const answer = await fetch("styles.json");
  if (!answer.ok) throw new Error("the list of styles is missing");
  const { reads, blends, styles } = await answer.json();
  $("own").hidden = !reads;
  $("strength-row").hidden = !blends;
  for (const style of styles) {
    const picture = new Image();
    Object.assign(picture, { src: style.thumbnail, alt: "", loading: "lazy", width: 160, height: 160 });
    const { label, input } = tile(style.name, style.title, style.note, picture, false);
    input.style_ = { key: style.name, vector: style.vector, title: style.title };
    $("tiles").append(label);
  }
}

async function add(file) {
  const bitmap = await opened(file);
  if (!bitmap) return;
  const picture = document.createElement("canvas");
  picture.width = picture.height = 160;
  const side = Math.min(bitmap.width, bitmap.height);
  picture.getContext("2d").drawImage(
    bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 160, 160);
  const key = `own-${++state.own}`;
  const { label, input } = tile(key, stem(file.name), "Yours", picture, true);
  input.style_ = { key, file, title: stem(file.name) };
  $("tiles").prepend(label);
  label.scrollIntoView({ block: "nearest", inline: "nearest" });
  paint();
}

// ------------------------------------------------------------------------------------------ pictures

const stem = (name) => name.replace(/\.[^.]*$/, "") || "picture";

async function opened(file) {
  try {
    $("error").textContent = "";
    return await createImageBitmap(file);
  } catch {
    fail(`${file.name || "This file"} is no picture that this browser can read; choose a JPEG, PNG or WebP.`);
    return null;
  }
}

async function take(file) {
  const bitmap = await opened(file);
  if (!bitmap) return;
  const key = (state.photo?.key ?? 0) + 1;
  state.photo = { file, key, name: stem(file.name), bitmap };
  state.painted = null;
  $("photo-name").textContent = file.name;
  show(false);
  paint();
}

function show(painting) {
  const { bitmap, name } = state.photo;
  const picture = state.painted;
  const side = Math.max(bitmap.width, bitmap.height);
  const scale = Math.min(1, Number($("size").value) / side);
  canvas.width = picture?.width ?? Math.round(bitmap.width * scale);
  canvas.height = picture?.height ?? Math.round(bitmap.height * scale);
  const context = canvas.getContext("2d");
  if (painting) context.putImageData(picture, 0, 0);
  else context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  $("empty").hidden = true;
  canvas.setAttribute("aria-label", painting ? `The painting of ${name}` : `The photo ${name}`);
  $("compare").setAttribute("aria-pressed", String(!painting && Boolean(picture)));
  for (const button of [$("compare"), ...downloads]) button.disabled = !picture;
}

function paint() {
  const style = document.querySelector("input[name=style]:checked")?.style_;
  $("error").textContent = "";
  if (!state.photo || !style) {
    $("status").textContent = state.photo ? "Choose a style." : "Choose a photo.";
    return;
  }
  state.again = state.busy;
  if (state.busy) return;
  state.busy = true;
  state.begun = performance.now();
  progress("Starting", null);
  const { file, key, name } = state.photo;
  worker.postMessage({
    photo: { file, key },
    style: { key: style.key, file: style.file, vector: style.vector },
    strength: Number($("strength").value) / 100,
    size: Number($("size").value),
    name: `${name}-${style.title}`,
  });
}

function progress(words, share) {
  $("status").textContent = `${words}…`;
  $("bar").hidden = false;
  if (share === null) $("bar").removeAttribute("value");
  else $("bar").value = share;
}

worker.onmessage = ({ data }) => {
  if (data.words) return progress(data.words, data.share);
  if (data.error) fail(data.error);
  else if (data.photo === state.photo.key) {
    state.painted = data.picture;
    state.name = data.name;
    show(true);
    const seconds = ((performance.now() - state.begun) / 1000).toFixed(1);
    rest(`Painted in ${seconds} s (${data.engine}).`);
  } else rest("");
  if (state.again) paint();
};
worker.onerror = (event) => {
  event.preventDefault?.();
  fail("This browser cannot paint here; a current Chrome, Edge, Firefox or Safari can.");
};

// ------------------------------------------------------------------------------------------ controls

$("photo").onchange = ({ target }) => target.files[0] && take(target.files[0]);
$("painting").onchange = ({ target }) => {
  if (target.files[0]) add(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
};
$("tiles").onchange = paint;
$("size").onchange = paint;
$("strength").oninput = ({ target }) => ($("strength-said").textContent = `${target.value} %`);
$("strength").onchange = paint;
$("compare").onclick = ({ target }) => show(target.getAttribute("aria-pressed") === "true");
for (const button of downloads) {
  button.onclick = () => {
    show(true);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${state.name}.${button.dataset.type === "image/png" ? "png" : "jpg"}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }, button.dataset.type, 0.95);
  };
}

document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("over");
};
document.ondragleave = () => document.body.classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (!file) return;
  if (event.target.closest("#styles") && !$("own").hidden) add(file);
  else take(file);
};

list().then(paint, () => fail("The list of styles cannot be loaded; serve the whole folder, and reload."));
