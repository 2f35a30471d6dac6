// A region painted over the photo with a brush: strokes, each of which can be undone. Sizes and places are shares of
// the photo's sides, so that they hold at any size on the screen.
studio.region = (element, trigger, upload) => {
  element.addEventListener("click", (event) => {
    if (event.target.closest("[data-remove]")) trigger("delete", { turn: studio.turn() });
  });
  studio.painted = async (blob, style, stays) => {
    const turn = studio.turn();
    const sent = blob ? [(await upload(new File([blob], "region.png", { type: "image/png" }))).path] : [];
    trigger(blob ? "apply" : "delete", { paths: sent, style, stays, turn });
  };
};

studio.ink = [208, 68, 32];

// Ink on nothing, as large as it is sent.
studio.strokes = class {
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    const share = Math.min(1, 768 / Math.max(width, height));
    [this.canvas.width, this.canvas.height] = [Math.round(width * share), Math.round(height * share)];
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.base = null;
    this.done = [];
  }

  // What was painted before, white on black.
  begin(picture) {
    this.base = document.createElement("canvas");
    [this.base.width, this.base.height] = [this.canvas.width, this.canvas.height];
    const pen = this.base.getContext("2d");
    pen.drawImage(picture, 0, 0, this.base.width, this.base.height);
    const pixels = pen.getImageData(0, 0, this.base.width, this.base.height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data[i + 3] = pixels.data[i];
      [pixels.data[i], pixels.data[i + 1], pixels.data[i + 2]] = studio.ink;
    }
    pen.putImageData(pixels, 0, 0);
    this.draw();
  }

  add(stroke) { this.done.push(stroke); this.stroke(stroke, 0); }

  to(point) {
    const last = this.done[this.done.length - 1];
    last.points.push(point);
    this.stroke(last, last.points.length - 2);
  }

  undo() { this.done.pop(); this.draw(); }

  draw() {
    this.pen.globalCompositeOperation = "source-over";
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.base) this.pen.drawImage(this.base, 0, 0);
    this.done.forEach((stroke) => this.stroke(stroke, 0));
  }

  stroke({ clears, erases, size, points }, from) {
    const { pen, canvas: { width, height } } = this;
    if (clears) return pen.clearRect(0, 0, width, height);
    pen.globalCompositeOperation = erases ? "destination-out" : "source-over";
    pen.strokeStyle = pen.shadowColor = `rgb(${studio.ink})`;
    pen.lineCap = pen.lineJoin = "round";
    pen.lineWidth = size * Math.max(width, height) * 0.8;
    pen.shadowBlur = pen.lineWidth / 4; // its border is soft
    pen.beginPath();
    for (const [x, y] of points.slice(from)) pen.lineTo(x * width, y * height);
    const [x, y] = points[points.length - 1];
    pen.lineTo(x * width + 0.01, y * height); // one point alone is a dab
    pen.stroke();
    pen.shadowBlur = 0;
  }

  get empty() {
    const { data } = this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 3; i < data.length; i += 4) if (data[i] > 127) return false;
    return true;
  }

  // White on black, as a file.
  mask() {
    const sheet = document.createElement("canvas"), pen = sheet.getContext("2d");
    [sheet.width, sheet.height] = [this.canvas.width, this.canvas.height];
    pen.drawImage(this.canvas, 0, 0);
    for (const [under, colour] of [["source-in", "#fff"], ["destination-over", "#000"]]) {
      [pen.globalCompositeOperation, pen.fillStyle] = [under, colour];
      pen.fillRect(0, 0, sheet.width, sheet.height);
    }
    return new Promise((done) => sheet.toBlob(done, "image/png"));
  }
};

studio.choice = (label, options) => {
  const told = document.createElement("label"), list = document.createElement("select");
  list.append(...options.map(([words, value]) => new Option(words, value)));
  told.append(label, list);
  return [told, list];
};

studio.brush = async () => {
  const shown = document.querySelector("#photo .drop img");
  if (!shown) return;
  const picture = new Image(), frame = document.createElement("div"), ring = document.createElement("span");
  picture.src = shown.src;
  picture.alt = "Your photo";
  await picture.decode();
  const strokes = new studio.strokes(picture.naturalWidth, picture.naturalHeight), { canvas } = strokes;
  const before = document.querySelector("#region [data-mask]");
  if (before) {
    const drawn = new Image();
    drawn.src = before.dataset.mask;
    await drawn.decode();
    strokes.begin(drawn);
  }
  frame.className = "over-photo brush";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Region over the photo. Arrow keys move the brush, Space sets it down and lifts it, "
    + "E erases or paints, [ and ] change its size, Control and Z undoes.");
  frame.append(picture, canvas, ring);

  const sizes = document.createElement("label"), size = document.createElement("input"), said = document.createElement("p");
  Object.assign(size, { type: "range", min: 2, max: 40, value: 12 });
  sizes.append("Brush size", size);
  said.setAttribute("role", "status");
  said.className = "hint";
  let at = [0.5, 0.5], down = false, erases = false;
  const paints = studio.button("Paint", () => turn(false)), rubs = studio.button("Erase", () => turn(true));
  const undo = studio.button("Undo", () => { strokes.undo(); look(); });
  const clear = studio.button("Clear", () => { strokes.add({ clears: true }); look(); });
  const tell = (words) => { said.textContent = words; };
  const look = () => {
    undo.disabled = !strokes.done.length;
    clear.disabled = use.disabled = strokes.empty;
    const wide = size.value / 100 * Math.max(frame.clientWidth, frame.clientHeight);
    Object.assign(ring.style, { left: `${100 * at[0]}%`, top: `${100 * at[1]}%`, width: `${wide}px`, height: `${wide}px` });
  };
  const turn = (is) => {
    erases = is;
    down = false;
    paints.setAttribute("aria-pressed", !is);
    rubs.setAttribute("aria-pressed", is);
    ring.classList.toggle("erases", is);
  };
  const begin = () => { down = true; strokes.add({ erases, size: size.value / 100, points: [at] }); };

  const places = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [(event.clientX - edge.left) / edge.width, (event.clientY - edge.top) / edge.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    at = places(event);
    begin();
    look();
  });
  canvas.addEventListener("pointermove", (event) => {
    at = places(event);
    if (down && event.buttons) strokes.to(at);
    else down = false;
    look();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { down = false; look(); });
  const keys = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  };
  canvas.addEventListener("keydown", (event) => {
    const step = (event.shiftKey ? 0.1 : 0.02), way = keys[event.key];
    if (way) {
      const tall = canvas.width / canvas.height;
      at = [at[0] + way[0] * step, at[1] + way[1] * step * tall].map((each) => Math.min(1, Math.max(0, each)));
      if (down) strokes.to(at);
    } else if (event.key === " ") {
      if (down) down = false; else begin();
      tell(down ? (erases ? "Erasing" : "Painting") : "Lifted");
    } else if (event.key === "e") turn(!erases);
    else if (event.key === "[" || event.key === "]") size.value = +size.value + (event.key === "]" ? 3 : -3);
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) { down = false; strokes.undo(); }
    else return;
    event.preventDefault();
    look();
  });
  size.addEventListener("input", () => look());

  const named = [...document.querySelectorAll("#style .tile")].map((tile) => [tile.querySelector(".name").textContent, tile.dataset.key]);
  const [takes, style] = studio.choice("The region takes", [["The chosen style", ""], ...named]);
  const [leaves, rest] = studio.choice("The rest", [["Stays the photo", "photo"], ["Takes the chosen style", "style"]]);
  style.value = before?.dataset.style ?? "";
  rest.value = before?.dataset.rest ?? "photo";
  const fits = () => {
    rest.disabled = !style.value; // or the region would be no region
    if (!style.value) rest.value = "photo";
  };
  style.addEventListener("change", () => { rest.value = style.value ? "style" : "photo"; fits(); });

  const row = document.createElement("div");
  row.className = "tools";
  row.append(paints, rubs, undo, clear);
  const use = studio.button("Use this region", async () => {
    const mask = await strokes.mask();
    room.close();
    studio.painted(mask, style.value, rest.value === "photo");
  });
  use.className = "main";
  const room = studio.dialog(
    "brush-room", "Paint a region", frame, sizes, row, takes, leaves, said, use,
    ...(before ? [studio.button("Remove the region", () => { room.close(); studio.painted(null); })] : []),
    studio.button("Close", () => room.close()),
  );
  turn(false);
  fits();
  look();
  canvas.focus();
};
