begin;
select plan(28);

select throws_ok(
  format('select quantumflow.next_times(%L)', c.cron), 'QF220', c.message, c.why)
from (values
  ('60 * * * *', 'cron "60 * * * *" has a bad minute: "60"', 'no such minute'),
  ('* 24 * * *', 'cron "* 24 * * *" has a bad hour: "24"', 'no such hour'),
  ('* * 0 * *', 'cron "* * 0 * *" has a bad day of month: "0"', 'no such day'),
  ('* * 32 * *', 'cron "* * 32 * *" has a bad day of month: "32"', 'nor this'),
  ('* * * 13 *', 'cron "* * * 13 *" has a bad month: "13"', 'no such month'),
  ('* * * * 8', 'cron "* * * * 8" has a bad weekday: "8"', 'no such weekday'),
  ('* * * * monday', 'cron "* * * * monday" has a bad weekday: "monday"', 'names have three letters'),
  ('* * * mon *', 'cron "* * * mon *" has a bad month: "mon"', 'a weekday is no month'),
  ('jan * * * *', 'cron "jan * * * *" has a bad minute: "jan"', 'minutes have no names'),
  ('5-1 * * * *', 'cron "5-1 * * * *" has a bad minute: "5-1"', 'a range goes up'),
  ('*/0 * * * *', 'cron "*/0 * * * *" has a bad minute: "*/0"', 'a step goes on'),
  ('*/90 * * * *', 'cron "*/90 * * * *" has a bad minute: "*/90"', 'no hour has 90 minutes'),
  ('1,,2 * * * *', 'cron "1,,2 * * * *" has a bad minute: ""', 'nothing between commas'),
  ('-5 * * * *', 'cron "-5 * * * *" has a bad minute: "-5"', 'nothing below'),
  ('99999999999 * * * *', 'cron "99999999999 * * * *" has a bad minute: "99999999999"', 'nor far above'),
  ('* * L * *', 'cron "* * L * *" has a bad day of month: "l"', 'no last day'),
  ('* * * * 1#2', 'cron "* * * * 1#2" has a bad weekday: "1#2"', 'no second Monday'),
  ('0 * * * * *', 'cron "0 * * * * *" has not five fields', 'no seconds'),
  ('@reboot', 'cron "@reboot" has not five fields', 'no reboot'),
  ('', 'cron "" has not five fields', 'nothing'),
  (null, 'cron null has not five fields', 'less than that'),
  ('0 0 31 4,6 *', 'cron "0 0 31 4,6 *" never comes', 'never')
) c (cron, message, why);
select throws_ok(
  format('select quantumflow.next_times(%L, %L)', '@daily', z.zone), 'QF220', z.message, z.why)
from (values
  ('Europe/Atlantis', 'time zone "Europe/Atlantis" is not known', 'no such place'),
  ('Europe/Berlin+1', 'time zone "Europe/Berlin+1" is not known', 'nor what AT TIME ZONE reads the other way round'),
  ('CET', 'time zone "CET" is not known', 'nor an abbreviation, which would have no summer'),
  (null, 'time zone null is not known', 'nothing')
) z (zone, message, why);
select throws_ok($$select quantumflow.next_times('@daily', n => 0)$$, 'QF220', 'n must be between 1 and 1000', 'a bad n');
select throws_ok($$select quantumflow.next_times('@daily', after => 'infinity')$$, 'QF220', 'after must be a moment of the years 1 to 9999', 'after the end');

select * from finish();
rollback;
