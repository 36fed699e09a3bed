begin;
select plan(2);

-- The texts in a body in PL/pgSQL are read when the session first plans it: as standard_conforming_strings says then, unless they begin with E.
select is_empty(
  $$
  select p.proname
  from pg_proc p
  join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
  where p.pronamespace = 'quantumflow'::regnamespace
    and regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '[Ee]''(?:[^'']|'''')*''|''(?:[^''\\]|'''')*''', '', 'g') ~ '\\'
  $$,
  'every text with a backslash says that it has one');

set local standard_conforming_strings = off;
set local escape_string_warning = off;
discard plans;
select is(
  (select array_agg(at) from quantumflow.next_times('30 2 * * mon-fri', n => 1, after => '2030-01-04 00:00+00') at), '{2030-01-04 02:30+00}'::timestamptz[],
  'a cron text is understood whatever the session says');

select * from finish();
rollback;
