// The limits of a person, in words. A quota is a `QuotaView` of the protocol.

import { QUOTA_LEFT } from "./words.js"

const DAY_MS = 24 * 3600_000
const isMoney = ({ measure }) => measure.startsWith("usd_")
const amount = (quota, value) => (isMoney(quota) ? `$${value}` : Number(value).toLocaleString("en"))

/** For example "3 of 60 messages left this minute". */
export const quotaText = (quota) =>
  `${amount(quota, quota.left)} of ${amount(quota, quota.limit)} ${QUOTA_LEFT[quota.measure] ?? "left"}`

/** Why a message was refused and, if there is a time, when the next one may be sent, as clocks show it here. */
export function refusalText(message, quota, nowMs) {
  const until = quota?.until ? new Date(quota.until) : null
  return until === null ? message : `${message} You can send again ${timeText(until, nowMs)}.`
}

function timeText(until, nowMs) {
  const time = until.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })
  if (until.getTime() - nowMs < DAY_MS) return `at ${time}`
  return `on ${until.toLocaleDateString("en", { month: "long", day: "numeric" })} at ${time}`
}
