// A photo from the camera, and a part of the one there is: dialogs of the browser's own.
studio.dialog = (id, label, ...inside) => {
  const room = document.createElement("dialog");
  room.id = id;
  room.className = "photo-dialog";
  room.setAttribute("aria-label", label);
  room.append(...inside);
  room.addEventListener("close", () => room.remove());
  document.querySelector("#studio").append(room);
  room.showModal();
  return room;
};
studio.button = (words, press) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.addEventListener("click", press);
  return made;
};

studio.camera = async () => {
  const video = document.createElement("video"), said = document.createElement("p");
  video.autoplay = video.muted = video.playsInline = true;
  video.setAttribute("aria-label", "What the camera sees");
  let stream = null;
  const take = studio.button("Take the photo", () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      studio.photo([new File([blob], "camera.jpg", { type: "image/jpeg" })]);
      room.close();
    }, "image/jpeg", 0.95);
  });
  take.disabled = true;
  const room = studio.dialog("camera-room", "Camera", video, said, take, studio.button("Close", () => room.close()));
  room.addEventListener("close", () => stream?.getTracks().forEach((track) => track.stop()));
  try {
    // Browsers lend it to pages of this machine and to those by HTTPS only.
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } } });
    if (!room.isConnected) return stream.getTracks().forEach((track) => track.stop());
    video.srcObject = stream;
    video.onloadedmetadata = () => { take.disabled = false; };
  } catch (error) {
    said.textContent = "No camera can be used here: there is none, or the browser does not lend it to this page.";
    video.hidden = true;
  }
};

studio.crop = () => {
  const shown = document.querySelector("#photo .drop img");
  if (!shown || !studio.cut) return;
  const frame = document.createElement("div"), picture = new Image(), part = document.createElement("span");
  frame.className = "crop";
  picture.src = shown.src;
  picture.alt = "Your photo";
  frame.append(picture, part);
  const edges = ["Left", "Top", "Right", "Bottom"].map((name, place) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: 100, step: 1, value: place < 2 ? 0 : 100 });
    label.append(name, input);
    return label;
  });
  const inputs = edges.map((label) => label.querySelector("input"));
  const box = () => inputs.map((input) => input.value / 100);
  const draw = (moved) => {
    // At least a tenth stays, whichever edge is moved.
    for (const [low, high] of [[0, 2], [1, 3]])
      if (inputs[high].value - inputs[low].value < 10)
        if (moved === inputs[low]) inputs[low].value = inputs[high].value - 10;
        else inputs[high].value = +inputs[low].value + 10;
    const [left, top, right, bottom] = box();
    part.style.inset = `${100 * top}% ${100 - 100 * right}% ${100 - 100 * bottom}% ${100 * left}%`;
  };
  inputs.forEach((input) => input.addEventListener("input", () => draw(input)));
  // Drawn with the pointer: from one corner to the other.
  const at = (event) => {
    const edge = picture.getBoundingClientRect(), share = (x, low, side) => Math.min(100, Math.max(0, (100 * (x - low)) / side));
    return [share(event.clientX, edge.left, edge.width), share(event.clientY, edge.top, edge.height)];
  };
  let begun = null;
  frame.addEventListener("pointerdown", (event) => { begun = at(event); frame.setPointerCapture(event.pointerId); event.preventDefault(); });
  frame.addEventListener("pointerup", () => { begun = null; });
  frame.addEventListener("pointermove", (event) => {
    if (!begun) return;
    const now = at(event);
    [0, 1].forEach((way) => {
      inputs[way].value = Math.min(begun[way], now[way]);
      inputs[way + 2].value = Math.max(begun[way], now[way]);
    });
    draw();
  });
  const room = studio.dialog(
    "crop-room", "Crop your photo", frame, ...edges,
    studio.button("Use this part", () => { studio.cut(box()); room.close(); }),
    studio.button("The whole photo", () => { studio.cut(null); room.close(); }),
    studio.button("Close", () => room.close()),
  );
  draw();
};
