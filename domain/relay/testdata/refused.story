# days that cannot be meant
away from=2026-12-26 until=2026-12-24
----
refused E-AWAY-REVERSED: 2026-12-24 is before 2026-12-26: the first day comes first.

away from=2026-11-01 until=2026-11-30
----
refused E-AWAY-PAST: 2026-11-30 is over already: today is 2026-12-01.

away from=2026-11-01 until=2026-12-01
----
away from 2026-11-01 to 2026-12-01

away from=24.12.2026 until=2026-12-26
----
refused E-AWAY-DAY: "24.12.2026" is no day of the calendar; write it as 2026-12-24.

away from=2026-12-24 until=2026-02-30
----
refused E-AWAY-DAY: "2026-02-30" is no day of the calendar; write it as 2026-12-24.

away from= until=2026-12-26
----
refused E-AWAY-DAY: "" is no day of the calendar; write it as 2026-12-24.

away from=2026-12-24 until=2062-12-26
----
refused E-AWAY-LONG: That is more than a year; please check the years.
