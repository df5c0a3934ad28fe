const FLOOR_MS = 500
const CEILING_MS = 30_000

/** How long to wait before connection attempt number `attempt` (from 0): full jitter, so that a restart of the
 * server does not bring everybody back in the same instant. `random` gives a number in [0, 1). */
export function backoffDelayMs(attempt, random) {
  const reach = Math.min(CEILING_MS, FLOOR_MS * 2 ** (attempt + 1))
  return FLOOR_MS + random() * (reach - FLOOR_MS)
}
