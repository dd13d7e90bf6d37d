// Draws every [data-chart] from the JSON beside it, in the colours of the theme that is on.
(() => {
  const MINUTE = 60_000;
  const DAY = 86_400_000;
  const drawn = new Map();

  // A token may be a light-dark() pair; only a painted property tells which side is on.
  const probe = document.body.appendChild(Object.assign(document.createElement("span"), { hidden: true }));
  const colour = (token) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const STATUS = new Set(["2xx", "3xx", "4xx", "429", "5xx", "unknown"]);
  const seriesColour = (name) => colour(STATUS.has(name) ? `--status-${name}` : `--series-${name}`);

  // The same words as portal/web/format.py.
  const trimmed = (value, places) => value.toLocaleString("en", { maximumFractionDigits: places });
  const scaled = (value, units) => {
    let index = 0;
    while (Math.abs(value) >= 999.5 && index < units.length - 1) [value, index] = [value / 1000, index + 1];
    return `${trimmed(value, Math.abs(value) < 99.95 && index ? 1 : 0)}${units[index] ? "\u202f" + units[index] : ""}`;
  };
  const UNITS = {
    calls: { short: (v) => scaled(v, ["", "k", "M", "G"]), exact: (v) => trimmed(v, 0) },
    bytes: { short: (v) => scaled(v, ["B", "kB", "MB", "GB", "TB"]), exact: (v) => `${trimmed(v, 0)} bytes` },
    share: { short: (v) => `${trimmed(v * 100, 2)}\u202f%`, exact: (v) => `${trimmed(v * 100, 3)}\u202f%` },
    us: {
      short: (v) => (v < 999_500 ? `${trimmed(v / 1000, v < 9950 ? 1 : 0)}\u202fms` : `${trimmed(v / 1e6, 1)}\u202fs`),
      exact: (v) => `${trimmed(v / 1000, 3)}\u202fms`,
    },
  };

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const full = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

  function option(place, data) {
    const unit = UNITS[data.unit] ?? UNITS.calls;
    const times = data.times.map((time) => new Date(time));
    const span = times.length > 1 ? times.at(-1) - times[0] : 0;
    const lines = place.dataset.kind === "lines";
    const last = times.length - 1;
    const soft = colour("--text-soft");
    const line = colour("--line");
    const surface = colour("--surface");
    const label = (index) => {
      const time = times[index];
      if (span > 3 * DAY) return date.format(time);
      return time.getHours() + time.getMinutes() === 0 ? date.format(time) : clock.format(time);
    };
    const series = data.series.flatMap((one) => (lines ? asLines(one) : [asBars(one)]));
    if (series.length && data.markers?.length)
      series[0].markLine = {
        silent: true,
        symbol: "none",
        lineStyle: { color: soft, type: "dotted", width: 1 },
        label: { color: soft, fontSize: 12, formatter: "{b}", position: "insideEndTop", rotate: 0, distance: [4, 2] },
        // The words stand on the side where there is room for them.
        data: marks(),
      };
    return {
      animation: false,
      aria: { enabled: true, label: { description: `${place.dataset.title}. The numbers are in the table under the chart.` } },
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 },
      grid: { left: 0, right: lines ? 40 : 8, top: data.markers?.length ? 20 : 8, bottom: 0, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
      xAxis: {
        type: "category",
        data: times.map((_, index) => index),
        axisLine: { lineStyle: { color: line } },
        axisTick: { show: false },
        axisLabel: { color: soft, hideOverlap: true, formatter: (index) => label(Number(index)), interval: step() },
        axisPointer: { label: { show: false } },
      },
      yAxis: {
        type: "value",
        min: 0,
        max: data.unit === "share" ? ({ max }) => (max > 0 && max <= 0.75 ? null : 1) : null,
        minInterval: data.unit === "calls" ? 1 : 0,
        splitNumber: data.unit === "share" ? 5 : 4,
        axisLabel: { color: soft, formatter: (value) => unit.short(value) },
        splitLine: { lineStyle: { color: line } },
      },
      tooltip: {
        trigger: "axis",
        confine: true,
        transitionDuration: 0,
        className: "chart-tip",
        backgroundColor: surface,
        borderColor: line,
        textStyle: { color: colour("--text"), fontSize: 12 },
        axisPointer: lines ? { type: "line", lineStyle: { color: soft } } : { type: "shadow" },
        formatter: (points) => tip(points[0].dataIndex),
      },
      series,
    };

    // Labels on whole hours or days, six or so of them, wherever the range starts.
    function step() {
      const bucket = times.length > 1 ? times[1] - times[0] : MINUTE;
      const fit = Math.max(2, Math.floor(place.clientWidth / 90));
      const steps = [1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080].map((minutes) => minutes * MINUTE);
      const wanted = steps.find((length) => length >= bucket && span / length <= fit) ?? steps.at(-1);
      return (index) => {
        const time = times[index];
        return (time - time.getTimezoneOffset() * MINUTE) % wanted < bucket;
      };
    }

    // One line a bucket, named after its newest marker; words that would lie over those of a newer one are left out.
    function marks() {
      const newest = new Map();
      for (const marker of data.markers.toSorted((a, b) => new Date(a.time) - new Date(b.time)))
        newest.set(bucketOf(new Date(marker.time)), marker.label);
      const room = 80 / (place.clientWidth / times.length);
      let taken = Infinity;
      return [...newest].reverse().map(([bucket, name]) => {
        const isRight = bucket > last / 2;
        const from = isRight ? Number(bucket) - room : Number(bucket);
        const show = from + room <= taken;
        if (show) taken = from;
        return { name, xAxis: bucket, label: { show, align: isRight ? "right" : "left" } };
      });
    }

    function bucketOf(moment) {
      let index = times.findIndex((time) => time > moment);
      index = index === -1 ? last : Math.max(0, index - 1);
      return String(index);
    }

    function asBars(one) {
      const fill = seriesColour(one.color);
      const values = one.values.map((value) => ({ value }));
      if (data.incomplete_last && values.length)
        values[last].itemStyle = {
          opacity: 0.75,
          decal: { symbol: "rect", symbolSize: 1, color: surface, dashArrayX: [1, 0], dashArrayY: [2, 3], rotation: -Math.PI / 4 },
        };
      return {
        name: one.name,
        type: "bar",
        stack: "all",
        barCategoryGap: times.length > 60 ? "10%" : "24%",
        itemStyle: { color: fill },
        emphasis: { disabled: true },
        data: values,
      };
    }

    function asLines(one) {
      const stroke = seriesColour(one.color);
      const open = data.incomplete_last && one.values.length > 1;
      const common = { type: "line", symbolSize: 5, itemStyle: { color: stroke }, emphasis: { disabled: true } };
      // Those that lie on the ground all along would write over each other.
      const endLabel = { show: one.values.some((value) => value), formatter: () => one.name, color: soft, distance: 6, fontSize: 12 };
      const whole = {
        ...common,
        name: one.name,
        // A value between two unknown ones has no line to stand on: it gets a dot.
        showSymbol: true,
        symbol: (_, point) => (alone(one.values, point.dataIndex) ? "circle" : "none"),
        lineStyle: { color: stroke, width: 2 },
        data: open ? [...one.values.slice(0, -1), null] : one.values,
        labelLayout: { moveOverlap: "shiftY" },
        ...(open ? {} : { endLabel }),
      };
      if (!open) return [whole];
      const tail = one.values.map((value, index) => (index < last - 1 ? null : value));
      return [whole, { ...common, name: one.name, symbol: (_, point) => (alone(tail, point.dataIndex) ? "circle" : "none"), lineStyle: { color: stroke, width: 2, type: [3, 3] }, data: tail, endLabel, labelLayout: { moveOverlap: "shiftY" } }];
    }

    // The tooltip is built from elements: styles written into markup are refused by the page's policy.
    function tip(index) {
      const box = document.createElement("div");
      const head = box.appendChild(document.createElement("strong"));
      head.textContent = full.format(times[index]);
      if (data.incomplete_last && index === last) box.append(Object.assign(document.createElement("div"), { className: "text-soft", textContent: "not complete yet" }));
      const table = box.appendChild(document.createElement("table"));
      for (const one of lines ? data.series : data.series.toReversed()) {
        const row = table.insertRow();
        row.insertCell().append(Object.assign(document.createElement("span"), { className: `swatch swatch-${one.color}` }), one.name);
        const value = one.values[index];
        row.insertCell().textContent = value === null ? "unknown" : unit.exact(value);
      }
      return box;
    }
  }

  const alone = (values, index) => values[index] !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;

  function draw(place) {
    const source = document.getElementById(place.dataset.chart);
    if (!source || !place.clientWidth) return;
    const chart = drawn.get(place) ?? echarts.init(place, null, { renderer: "canvas" });
    drawn.set(place, chart);
    chart.setOption(option(place, JSON.parse(source.textContent)), true);
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      drawn.get(target)?.resize();
      draw(target);
    }
  });
  function scan() {
    for (const [place, chart] of drawn)
      if (!place.isConnected) {
        chart.dispose();
        drawn.delete(place);
      }
    for (const place of document.querySelectorAll("[data-chart]")) drawn.has(place) ? draw(place) : resized.observe(place);
  }
  document.addEventListener("portico:theme", scan);
  document.addEventListener("htmx:after:swap", scan);
  scan();
})();
