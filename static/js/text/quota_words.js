// The limits of a person, in words. A quota is a `QuotaView` of the protocol.

import { gettext, gettext_noop, isKnown, language, numberText, timeText } from "../language/translate.js"
import { QUOTA_LEFT } from "./words.js"

const DAY_MS = 24 * 3600_000
const isMoney = ({ measure }) => measure.startsWith("usd_")
const amount = (quota, value) => (isMoney(quota) ? `$${value}` : numberText(Number(value)))

/** For example "3 of 60 messages left this minute". */
export const quotaText = (quota) =>
  gettext("{left} of {limit} {what}", {
    left: amount(quota, quota.left),
    limit: amount(quota, quota.limit),
    what: gettext(QUOTA_LEFT[quota.measure] ?? gettext_noop("left")),
  })

const REFUSALS = {
  messages_per_minute: gettext_noop("At most {limit} messages a minute ({whose}), and that many are sent."),
  messages_per_day: gettext_noop("At most {limit} messages a day ({whose}), and that many are sent."),
  running_replies: gettext_noop("At most {limit} replies at the same time ({whose}): wait for the end of one."),
  usd_per_day: gettext_noop("At most {limit} a day ({whose}); {left} is left, which may not be enough for this reply."),
  usd_per_month: gettext_noop(
    "At most {limit} a month ({whose}); {left} is left, which may not be enough for this reply.",
  ),
}
const WHOSE = {
  person: gettext_noop("your own limit"),
  group: gettext_noop("the limit of your group"),
  all: gettext_noop("the limit of everybody here together"),
}

/** Why a message was refused and, if there is a time, when the next one may be sent, as clocks show it here. */
export function refusalText(message, quota, nowMs) {
  const told = isKnown(message) ? gettext(message) : limitText(quota, message)
  const until = quota?.until ? new Date(quota.until) : null
  if (until === null) return told
  const time = timeText(until)
  if (until.getTime() - nowMs < DAY_MS) return gettext("{why} You can send again at {time}.", { why: told, time })
  const day = until.toLocaleDateString(language(), { month: "long", day: "numeric" })
  return gettext("{why} You can send again on {day} at {time}.", { why: told, day, time })
}

/** The server's sentence about a limit, from its codes. */
function limitText(quota, message) {
  const sentence = REFUSALS[quota?.measure]
  if (sentence === undefined || WHOSE[quota.scope] === undefined) return message
  const [limit, left] = [quota.limit, quota.left].map((value) => amount(quota, value))
  return gettext(sentence, { whose: gettext(WHOSE[quota.scope]), limit, left })
}
