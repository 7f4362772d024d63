// The chart of a balance: windows from the ledger, drawn by uPlot.
(function () {
  "use strict";

  // Canvas understands no light-dark(): an element is asked what it comes to.
  function shown(element, property) {
    return getComputedStyle(element)[property];
  }

  // Of so many seconds between two marks: how a mark is written, and what is added where a year or a day begins.
  var MARKS = [
    [2419200, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1]
  ];

  function columns(told) {
    var starts = told.starts.slice();
    var closing = told.closing.slice();
    if (starts.length && told.opening !== null && starts[0] > told.from) {
      starts.unshift(told.from);
      closing.unshift(told.opening);
    }
    if (starts.length && starts[starts.length - 1] < told.until) {
      starts.push(told.until);
      closing.push(closing[closing.length - 1]);
    }
    return [starts, closing];
  }

  function setUp(chart) {
    var plot = chart.querySelector(".plot");
    var text = chart.querySelector("[data-told]");
    var drawn = null;
    var size = "1h";
    var told = null;

    function draw() {
      if (drawn) { drawn.destroy(); drawn = null; }
      if (!told || !told.starts.length) {
        text.textContent = "Nothing was posted in that time.";
        return;
      }
      var line = shown(plot, "borderTopColor");
      var ink = shown(plot, "color");
      var grid = shown(plot, "outlineColor");
      var axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
      drawn = new uPlot({
        width: Math.max(280, plot.clientWidth),
        height: 240,
        tzDate: function (seconds) { return uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"); },
        scales: { x: { range: [told.from, told.until] } },
        axes: [Object.assign({ values: MARKS }, axis), Object.assign({ size: 90 }, axis)],
        series: [
          { label: "UTC", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
          { label: "balance, " + told.asset, stroke: line, width: 2, paths: uPlot.paths.stepped({ align: 1 }) }
        ]
      }, columns(told), plot);
      text.textContent = told.starts.length + (told.starts.length === 1 ? " window" : " windows") + " with entries, from the " + told.sources.join(" and the ") +
        (told.age_ms ? ", " + told.age_ms + " ms old" : "") + ". Drawn as exactly as a screen can; the statement has every digit.";
    }

    function load() {
      var query = new URLSearchParams({ asset: chart.dataset.asset, size: size });
      text.textContent = "Reading the windows …";
      fetch(chart.dataset.chart + "?" + query, { credentials: "same-origin" }).then(function (response) {
        if (!response.ok) { throw new Error("the windows cannot be read just now (" + response.status + ")"); }
        return response.json();
      }).then(function (json) { told = json; draw(); }, function (error) {
        told = null;
        if (drawn) { drawn.destroy(); drawn = null; }
        text.textContent = "No chart: " + error.message + ".";
      });
    }

    chart.querySelectorAll("[data-size]").forEach(function (button) {
      button.addEventListener("click", function () {
        size = button.dataset.size;
        chart.querySelectorAll("[data-size]").forEach(function (each) {
          each.setAttribute("aria-pressed", each === button ? "true" : "false");
        });
        load();
      });
    });
    addEventListener("resize", function () {
      if (drawn) { drawn.setSize({ width: Math.max(280, plot.clientWidth), height: 240 }); }
    });
    document.addEventListener("ledger:theme", draw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    load();
  }

  document.querySelectorAll("[data-chart]").forEach(setUp);
})();
