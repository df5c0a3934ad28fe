// Time as an argument: modules that wait take `timers` and a clock, so that tests can control them.

export const browserTimers = {
  set: (callback, delayMs) => setTimeout(callback, delayMs),
  clear: (timer) => clearTimeout(timer),
}

/** Milliseconds since the page began: monotonic, and comparable with `event.timeStamp`. */
export const monotonicNow = () => performance.now()

/** Milliseconds since 1970 by the wall clock. */
export const wallNow = () => Date.now()

/** Calls back with the time at which the DOM as it is now has been painted: two frames, the second after the paint. */
export function afterPaint(callback, requestFrame = requestAnimationFrame) {
  requestFrame(() => requestFrame(() => callback(monotonicNow())))
}
