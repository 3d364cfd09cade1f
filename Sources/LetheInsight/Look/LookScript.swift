extension LookPage {
  /// The script of the page: it paints the maps, moves one cursor through all panels, and tells what is under it.
  ///
  /// It has neither `<` nor `&`, so that it reads the same as HTML and as XML, and it writes text only as text.
  static let script = #"""
    "use strict";
    (() => {
    const find = id => document.getElementById(id), all = what => Array.from(document.querySelectorAll(what));
    const data = JSON.parse(find("look-data").textContent), root = document.documentElement;
    if (!data.columns) return;
    const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
    const last = data.columns - 1, tip = find("tip"), slider = find("cursor"), view = find("ledger-view");
    const maps = data.maps.map(map => ({...map, bytes: Uint8Array.from(atob(map.cells), c => c.charCodeAt(0))}));
    const plots = all(".plot[data-map]"), ledger = document.querySelector(".ledger .plot");
    const outputs = all("output[data-line]"), rows = new Map();
    let at = last, later = 0, playing = 0;

    const number = x => {
      if (x === null) return "n/a";
      const size = Math.abs(x);
      if (size === 0) return "0";
      if (size >= 1e5 || 1e-3 > size) return x.toExponential(1).replace("e", " × 10^").replace("+", "")
        .replaceAll("-", "−");
      return (size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : size >= 0.1 ? x.toFixed(2)
        : x.toFixed(3)).replace("-", "−");
    };
    const percent = x => x === null ? "n/a" : (100 * x).toFixed(0.1 > x ? 1 : 0) + "%";
    const value = (map, byte) => {
      if (!byte) return null;
      const place = (byte - 1) / 254, side = 2 * place - 1;
      return map.colors === "diverging" ? map.high * Math.sign(side) * Math.abs(side) ** map.power
        : map.low + (map.high - map.low) * place ** map.power;
    };
    const columnOf = step => clamp(Math.floor((step * data.columns - 1) / data.steps), 0, last);

    // Painting.
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const paint = (plot, isDark) => {
      const map = maps[plot.dataset.map], canvas = plot.querySelector("canvas");
      const palette = data.palettes.find(one => one.name === map.colors)[isDark ? "dark" : "light"];
      const colors = Uint32Array.from({length: 256}, (_, byte) => {
        if (!byte) return 0;
        const known = value(map, byte), place = map.colors === "diverging" ? clamp(0.5 + known / map.top / 2, 0, 1)
          : clamp((known - map.low) / (map.top - map.low || 1), 0, 1) ** (1 / map.power);
        const hex = palette[Math.round(place * (palette.length - 1))];
        const parts = [1, 3, 5].map(from => parseInt(hex.slice(from, from + 2), 16));
        return new Uint32Array(new Uint8Array([...parts, 255]).buffer)[0];
      });
      canvas.width = map.columns;
      canvas.height = map.rows;
      const context = canvas.getContext("2d"), image = context.createImageData(map.columns, map.rows);
      new Uint32Array(image.data.buffer).set(Uint32Array.from(map.bytes, byte => colors[byte]));
      context.putImageData(image, 0, 0);
      canvas.style.imageRendering = canvas.clientWidth >= map.columns ? "pixelated" : "auto";
    };
    const paintAll = isDark => plots.forEach(plot => paint(plot, isDark));

    // What is known of a place.
    const steps = (part, parts) => {
      if (parts === data.columns) return data.labels[part];
      const from = Math.floor(part * data.steps / parts) + 1, to = Math.floor((part + 1) * data.steps / parts);
      return from === to ? "step " + from : "steps " + from + "–" + to;
    };
    const inMap = (map, column) => Math.floor((column + 0.5) * map.columns / data.columns);
    const written = (map, row, column) => {
      const share = value(map, map.bytes[row * map.columns + inMap(map, column)]);
      const size = map.colors === "sequential" ? percent(share) : number(share);
      const when = steps(inMap(map, column), map.columns);
      return row > inMap(map, column) ? steps(row, map.columns) + " comes after " + when
        : "written at " + steps(row, map.columns) + ", read at " + when + ": " + size;
    };
    const told = (plot, column, row) => {
      const map = maps[plot.dataset.map], line = data.lines[plot.dataset.line];
      if (plot === ledger) return written(map, Math.max(row, 0), column);
      if (map ? row >= 0 : false) {
        const byte = map.bytes[row * map.columns + inMap(map, column)];
        return map.label + ", " + map.groups[row] + ", " + data.labels[column] + ": " + number(value(map, byte));
      }
      return (line ? line.name + (map ? ", mean, " : ", ") : "") + data.labels[column]
        + (line ? ": " + number(line.values[column]) : "");
    };
    const spoken = () => data.lines.filter(line => line.spoken)
      .map(line => line.name + " " + number(line.values[at]));

    // The cursor.
    const tokens = new Map();
    all("[data-step]").forEach(token => {
      const column = columnOf(Number(token.dataset.step) + 1);
      tokens.set(column, (tokens.get(column) || []).concat(token));
      token.addEventListener("pointerover", () => move(column));
      token.addEventListener("click", () => move(column, true));
    });
    const say = words => {
      clearTimeout(later);
      later = setTimeout(() => { find("said").textContent = words; }, 120);
    };
    const profile = () => {
      if (!ledger) return;
      const map = maps[ledger.dataset.map], column = inMap(map, at), wide = data.columns / map.columns;
      const sizes = Array.from({length: map.rows}, (_, row) =>
        Math.abs(value(map, map.bytes[row * map.columns + column])));
      const most = Math.max(1e-12, ...sizes);
      find("profile-bars").setAttribute("d", sizes.map((size, row) => size > 0
        ? "M" + row * wide + " 100V" + (100 - 94 * size / most) + "h" + wide + "V100z" : "").join("") || "M0 0");
    };
    const move = (column, aloud) => {
      (tokens.get(at) || []).forEach(token => token.classList.remove("here"));
      at = clamp(column, 0, last);
      (tokens.get(at) || []).forEach(token => token.classList.add("here"));
      root.style.setProperty("--at", at);
      slider.value = at;
      slider.setAttribute("aria-valuetext", data.labels[at]);
      outputs.forEach(output => { output.textContent = number(data.lines[output.dataset.line].values[at]); });
      find("where").textContent = data.labels[at];
      find("values").textContent = spoken().slice(0, 5).join(" · ");
      profile();
      if (aloud) say([data.labels[at]].concat(spoken()).join(", "));
    };
    const show = (words, x, y) => {
      tip.textContent = words;
      tip.hidden = false;
      tip.style.left = clamp(x + 14, 4, Math.max(4, root.clientWidth - tip.offsetWidth - 4)) + "px";
      tip.style.top = (y > tip.offsetHeight + 24 ? y - tip.offsetHeight - 14 : y + 18) + "px";
    };
    const point = event => {
      const plot = event.currentTarget, box = plot.getBoundingClientRect();
      const column = clamp(Math.floor((event.clientX - box.left) / box.width * data.columns), 0, last);
      if (plot.closest(".profile")) {
        const map = maps[ledger.dataset.map];
        show(written(map, inMap(map, column), at), event.clientX, event.clientY);
        return;
      }
      move(column);
      const canvas = plot.querySelector("canvas");
      let row = -1;
      if (canvas) {
        const area = canvas.getBoundingClientRect(), map = maps[plot.dataset.map];
        row = Math.floor((event.clientY - area.top) / area.height * map.rows);
        row = map.rows > row ? Math.max(row, 0) : -1;
        rows.set(plot, Math.max(row, 0));
      }
      show(told(plot, column, row), event.clientX, event.clientY);
    };
    all(".plot").forEach(plot => {
      if (plot.closest(".ticks")) return;
      plot.addEventListener("pointermove", point);
      plot.addEventListener("pointerdown", point);
      plot.addEventListener("pointerleave", () => { tip.hidden = true; });
    });
    all(".upright").forEach(picture => picture.addEventListener("pointermove", event => {
      const box = picture.getBoundingClientRect();
      move(Math.floor((event.clientY - box.top) / box.height * data.columns));
    }));

    // Keys: left and right move in time, up and down through the rows of the map that has the focus.
    const leaps = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9};
    document.addEventListener("keydown", event => {
      const plot = event.target.closest ? event.target.closest(".plot[data-map]") : null;
      if (event.key === "Escape") tip.hidden = true;
      if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
      if (!plot) {
        if (event.target !== document.body || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        move(at + leaps[event.key], true);
        return;
      }
      const map = maps[plot.dataset.map], turn = {ArrowUp: -1, ArrowDown: 1}[event.key] || 0;
      if (!turn) if (!(event.key in leaps)) return;
      event.preventDefault();
      const row = clamp((rows.has(plot) ? rows.get(plot) : -turn) + turn, 0, map.rows - 1);
      rows.set(plot, row);
      move(at + (leaps[event.key] || 0));
      const box = plot.getBoundingClientRect(), area = plot.querySelector("canvas").getBoundingClientRect();
      const words = told(plot, at, row);
      show(words, box.left + (at + 0.5) / data.columns * box.width, area.top + (row + 0.5) / map.rows * area.height);
      say(words);
    });
    slider.addEventListener("input", () => move(Number(slider.value), true));
    const play = find("play"), rest = () => {
      clearInterval(playing);
      playing = 0;
      play.textContent = "▶";
      play.setAttribute("aria-label", "Play from here");
    };
    play.addEventListener("click", () => {
      if (playing) return rest();
      if (at === last) move(0);
      play.textContent = "❚❚";
      play.setAttribute("aria-label", "Pause");
      playing = setInterval(() => { at === last ? rest() : move(at + 1); }, clamp(9000 / data.columns, 20, 450));
    });
    if (view) view.addEventListener("change", () => {
      ledger.dataset.map = view.value;
      paint(ledger, dark.matches);
      profile();
    });

    // The address may name a step: #step=12.
    const fromAddress = () => {
      const found = /step=(\d+)/.exec(location.hash);
      if (found) move(columnOf(Number(found[1])));
    };
    root.classList.add("live");
    root.style.setProperty("--columns", data.columns);
    slider.max = last;
    paintAll(dark.matches);
    move(last);
    fromAddress();
    addEventListener("hashchange", fromAddress);
    addEventListener("resize", () => paintAll(dark.matches));
    addEventListener("beforeprint", () => paintAll(false));
    addEventListener("afterprint", () => paintAll(dark.matches));
    dark.addEventListener("change", () => paintAll(dark.matches));
    })();
    """#

  /// What stands at the foot of the window: the cursor as a slider, and what is under it.
  static let player: String = {
    var writer = MarkupWriter()
    writer.element("noscript") { writer in
      writer.element(
        "p", ["class": "note"],
        text: "The heat maps are painted by the page's own script, which does not run here. Lines, bars and "
          + "tables are all there.")
    }
    writer.element("div", ["class": "player", "role": "group", "aria-label": "The step under the cursor"]) {
      writer in
      writer.element("button", ["id": "play", "type": "button", "aria-label": "Play from here"], text: "▶")
      writer.leaf(
        "input", ["id": "cursor", "type": "range", "min": "0", "max": "0", "step": "1", "aria-label": "Step"])
      writer.element("p") { writer in
        writer.element("strong", ["id": "where"], text: "")
        writer.words(" ")
        writer.element("span", ["id": "values"], text: "")
      }
    }
    writer.element("p", ["id": "said", "class": "unseen", "aria-live": "polite"], text: "")
    writer.element("div", ["id": "tip", "hidden": "hidden", "aria-hidden": "true"], text: "")
    return writer.text
  }()
}
