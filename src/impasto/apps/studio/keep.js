// Pictures kept in this browser's own store, so that they outlive the studio: at most so many, and so much of them.
studio.kept = {
  most: 24, bytes: 200e6,
  safe: new Set(), // files of pictures that are in the store

  open() {
    return (studio.kept.store ??= new Promise((done, failed) => {
      const asked = indexedDB.open("impasto", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("pictures", { keyPath: "mark" });
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => failed(asked.error);
    }));
  },

  async ask(mode, what) {
    const pictures = (await studio.kept.open()).transaction("pictures", mode).objectStore("pictures");
    return new Promise((done, failed) => {
      const asked = what(pictures);
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => failed(asked.error);
    });
  },

  all() { return studio.kept.ask("readonly", (pictures) => pictures.getAll()); },
  put(picture) { return studio.kept.ask("readwrite", (pictures) => pictures.put(picture)); },
  drop(mark) { return studio.kept.ask("readwrite", (pictures) => pictures.delete(mark)); },
  clear() { return studio.kept.ask("readwrite", (pictures) => pictures.clear()); },
};

// What the page shows now: a picture of this visit that is finished goes into the store, those that the visit let go
// leave it. Called at every change, done once for several.
studio.keep = () => {
  clearTimeout(studio.keeping);
  studio.keeping = setTimeout(async () => {
    try {
      await studio.store();
      await studio.shelve();
    } catch (error) {
      console.info("no pictures are kept in this browser", error); // a private window, or a full disk
    }
  }, 300);
};

studio.store = async () => {
  const visit = sessionStorage.getItem("impasto") ?? "", figure = studio.figure();
  const tiles = Object.fromEntries([...document.querySelectorAll("#history [data-key]")].map((tile) => [tile.dataset.key, tile]));
  const known = await studio.kept.all();
  if (Object.keys(tiles).length)
    for (const each of known) if (each.visit === visit && !tiles[each.mark]) await studio.kept.drop(each.mark);
  studio.kept.safe = new Set(known.map((each) => each.full));
  const { mark, full, name } = figure?.dataset ?? {}, tile = tiles[mark];
  if (!full || !tile || figure.dataset.sketch) return;
  if (!known.some((each) => each.mark === mark && each.full === full)) {
    const file = await fetch(full);
    if (!file.ok) return; // a better one has come meanwhile, and will be kept
    const blob = await file.blob();
    const thumb = tile.querySelector("img").src, title = tile.querySelector(".name").textContent;
    await studio.kept.put({ mark, full, name, visit, thumb, title, blob, when: Date.now() });
    studio.kept.safe.add(full);
    const old = (await studio.kept.all()).sort((one, other) => other.when - one.when);
    let bytes = 0;
    for (const [place, each] of old.entries()) {
      bytes += each.blob.size;
      if (place >= studio.kept.most || (place && bytes > studio.kept.bytes)) await studio.kept.drop(each.mark);
    }
  }
  if (studio.kept.safe.has(studio.figure()?.dataset.full)) studio.unsaved = false;
};

// Pictures of other visits than this one.
studio.shelve = async () => {
  const shelf = document.querySelector("#kept");
  if (!shelf) return;
  const here = new Set([...document.querySelectorAll("#history [data-key]")].map((tile) => tile.dataset.key));
  const others = (await studio.kept.all()).filter((each) => !here.has(each.mark)).sort((one, other) => other.when - one.when);
  shelf.hidden = !others.length;
  shelf.querySelector(".tiles").replaceChildren(...others.map((each) => {
    const own = document.createElement("div"), tile = studio.button("", () => studio.recall(each));
    const thumb = document.createElement("span"), name = document.createElement("span"), picture = new Image();
    const gone = studio.button("×", () => studio.discard(each.mark));
    [own.className, tile.className, thumb.className, name.className, gone.className] = ["own", "tile", "thumb", "name", "remove"];
    gone.setAttribute("aria-label", `Remove ${each.title}`);
    [picture.src, picture.alt, name.textContent] = [each.thumb, "", each.title];
    thumb.append(picture);
    tile.append(thumb, name);
    own.append(tile, gone);
    return own;
  }));
};

studio.recall = (each) => {
  const picture = new Image(), link = document.createElement("a"), row = document.createElement("div");
  picture.src = link.href = URL.createObjectURL(each.blob);
  picture.alt = each.title;
  link.download = `${each.name || "picture"}.png`;
  link.textContent = "Download";
  row.className = "tools";
  row.append(
    link,
    studio.button("Remove", () => { studio.discard(each.mark); room.close(); }),
    studio.button("Close", () => room.close()),
  );
  const room = studio.dialog("kept-room", each.title, picture, row);
  room.addEventListener("close", () => URL.revokeObjectURL(picture.src));
};

studio.discard = async (mark) => {
  await studio.kept.drop(mark).catch(() => {});
  studio.keep();
};
studio.forget = async () => {
  await studio.kept.clear().catch(() => {});
  studio.keep();
};
studio.keep(); // what is in the store is safe, and shown
