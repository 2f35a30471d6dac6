// A large picture, painted as a job of the studio's: ordered, followed, cancelled, fetched.
studio.poster = (element, trigger, watch, most) => {
  let stream = null;
  const follow = () => {
    stream?.close();
    const box = element.querySelector("[data-job]");
    if (!box) return;
    const here = `api/v1/jobs/${encodeURIComponent(box.dataset.job)}`;
    const said = document.createElement("p"), bar = document.createElement("progress"), row = document.createElement("div");
    said.setAttribute("role", "status");
    row.className = "tools";
    bar.value = 0;
    const end = (words, ...more) => {
      stream.close();
      bar.remove();
      said.textContent = words;
      row.replaceChildren(...more, studio.button(more.length ? "Remove" : "Close", leave));
    };
    const leave = async () => {
      stream.close();
      box.remove();
      trigger("clear");
      await fetch(here, { method: "DELETE" });
    };
    row.append(studio.button("Cancel", leave));
    box.replaceChildren(said, bar, row);
    said.textContent = "The poster waits for its turn. You can go on meanwhile.";
    stream = new EventSource(`${here}/events`);
    stream.addEventListener("progress", (event) => {
      const told = JSON.parse(event.data);
      if (told.state === "waiting") return;
      const left = told.seconds_left === undefined ? "" : `, ${studio.time(told.seconds_left)} left`;
      said.textContent = told.of ? `Painting the poster: part ${told.step} of ${told.of}${left}.` : `Preparing the poster${left} ...`;
      if (told.of) Object.assign(bar, { max: told.of, value: told.step });
    });
    stream.addEventListener("done", (event) => {
      const links = ["PNG", "JPEG", "WebP"].map((form) => {
        const link = document.createElement("a"), kind = form.toLowerCase();
        link.href = `${here}/picture?format=${kind}`;
        link.download = `${box.dataset.name}.${kind === "jpeg" ? "jpg" : kind}`;
        link.textContent = form;
        return link;
      });
      end("The poster is done: download it as", ...links);
    });
    stream.addEventListener("failed", (event) => end(`No poster: ${JSON.parse(event.data).error}.`));
    stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) end("This poster is no longer kept."); };
  };
  watch("value", follow);
  follow();

  studio.order = () => {
    const sizes = [[`${most} pixels`, `${most}`], ["Twice the photo", "2x"], ["A3 at 200 dpi", "29.7x42cm@200dpi"],
      ["A4 at 300 dpi", "21x29.7cm@300dpi"], ["30 x 40 cm at 250 dpi", "30x40cm@250dpi"], ["Another size ...", ""]];
    const [told, list] = studio.choice("Size", sizes), own = document.createElement("label"), text = document.createElement("input");
    text.placeholder = "3000, 1.5x or 20x30cm@300dpi";
    own.append("As you like", text);
    own.hidden = true;
    list.addEventListener("change", () => { own.hidden = list.value !== ""; });
    const words = document.createElement("p");
    words.className = "hint";
    words.textContent = "The picture shown is painted anew in one pass, larger, with finer strokes. It takes a minute or a few; "
      + `you can go on meanwhile. The long side has up to ${most} pixels here.`;
    const go = studio.button("Paint the poster", () => {
      trigger("submit", { size: list.value || text.value });
      room.close();
    });
    go.className = "main";
    const room = studio.dialog("poster-room", "Poster", words, told, own, go, studio.button("Close", () => room.close()));
  };
};

studio.time = (seconds) => {
  if (seconds < 8) return "a few seconds";
  if (seconds < 55) return `about ${Math.round(seconds / 5) * 5} seconds`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  return minutes === 1 ? "about a minute" : `about ${minutes} minutes`;
};
