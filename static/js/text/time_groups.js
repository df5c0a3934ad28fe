import { gettext, language } from "../language/translate.js"

const DAY_MS = 86_400_000

/** The heading under which a conversation of the time `at` is listed, in the person's own days and months. */
export function timeGroup(at, now, locale = language()) {
  const [then, today] = [new Date(at), new Date(now)]
  const days = Math.round((startOfDay(today) - startOfDay(then)) / DAY_MS)
  if (days <= 0) return gettext("Today")
  if (days === 1) return gettext("Yesterday")
  if (days < 7) return gettext("Last 7 days")
  if (days < 30) return gettext("Last 30 days")
  const isThisYear = then.getFullYear() === today.getFullYear()
  return then.toLocaleDateString(locale, isThisYear ? { month: "long" } : { month: "long", year: "numeric" })
}

/** The day of a hit, short: the time today, else the date. */
export function shortTime(at, now, locale = language()) {
  const [then, today] = [new Date(at), new Date(now)]
  if (startOfDay(then) === startOfDay(today)) {
    return then.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", hour12: false })
  }
  const isThisYear = then.getFullYear() === today.getFullYear()
  return then.toLocaleDateString(locale, { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) })
}

const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime()
