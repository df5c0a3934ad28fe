// Draws each table of figures over time as a plot above it. Without this script, or without uPlot, the tables remain.

const HEIGHT = 220
const COLOURS = ["#1c7ed6", "#e8590c", "#c92a2a", "#2f9e44", "#9c36b5", "#868e96", "#b08900", "#0c8599", "#d6336c"]
const DASHES = [[], [8, 4], [2, 4]]

const source = new URL(import.meta.url)
const tag = [...document.querySelectorAll("script[data-uplot]")].find(({ src }) => src === source.href)

/** A table's columns as uPlot wants them: moments first. */
function columnsOf(table) {
  const rows = [...table.tBodies[0].rows]
  const names = [...table.tHead.rows[0].cells].slice(1).map(({ textContent }) => textContent)
  const numbers = names.map((_, column) => rows.map(({ cells }) => Number(cells[column + 1].dataset.number)))
  return { names, data: [rows.map(({ dataset }) => Number(dataset.at)), ...numbers] }
}

function draw(UPlot, place) {
  const table = document.getElementById(place.dataset.plot)
  const { names, data } = columnsOf(table)
  const style = getComputedStyle(document.documentElement)
  const axis = {
    stroke: style.getPropertyValue("--body-fg").trim(),
    grid: { stroke: style.getPropertyValue("--hairline-color").trim() },
  }
  const { unit, step } = table.dataset
  const value = (_, number) => (number == null ? "-" : `${unit}${Number(number.toPrecision(6))}`)
  const series = names.map((label, index) => ({
    label,
    value,
    stroke: COLOURS[index % COLOURS.length],
    dash: DASHES[Math.floor(index / 3) % DASHES.length],
    width: 2,
    points: { show: data[0].length < 40, size: data[0].length < 3 ? 9 : 5 },
  }))
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: {
      // One point alone has no width: uPlot takes years for it.
      x: { range: (_, low, high) => (data[0].length === 1 ? around(data[0][0], Number(step)) : [low, high]) },
      y: { range: (_, low, high) => [Math.min(0, low), high || 1] },
    },
    series: [{ label: "UTC" }, ...series],
    axes: [axis, { ...axis, size: 70, values: (_, ticks) => ticks.map((tick) => `${unit}${tick}`) }],
  }
  place.replaceChildren()
  const plot = new UPlot(options, data, place)
  place.tabIndex = 0
  place.onkeydown = (event) => {
    const index = nextIndex(event.key, plot.cursor.idx, data[0].length - 1)
    if (index == null) return
    event.preventDefault()
    plot.setCursor({ left: plot.valToPos(data[0][index], "x"), top: 0 })
  }
  return plot
}

const around = (moment, width) => [moment - width / 2, moment + width / 2]

/** The point that a key leads to, so that the legend tells its figures without a mouse too. */
function nextIndex(key, index, last) {
  switch (key) {
    case "ArrowRight":
      return index == null ? 0 : Math.min(last, index + 1)
    case "ArrowLeft":
      return index == null ? last : Math.max(0, index - 1)
    case "Home":
      return 0
    case "End":
      return last
    default:
      return null
  }
}

async function main() {
  const places = [...document.querySelectorAll("[data-plot]")]
  if (!tag || places.length === 0) return
  const { default: UPlot } = await import(tag.dataset.uplot)
  const drawAll = () => {
    for (const place of places) draw(UPlot, place)
  }
  drawAll()
  let width = innerWidth
  addEventListener("resize", () => {
    if (innerWidth === width) return
    width = innerWidth
    drawAll()
  })
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll)
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] })
}

main()
