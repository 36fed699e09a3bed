begin;
select plan(4);

-- A role may have set it so; pgmq's functions have backslashes in them, but for those of the oldest.
set local standard_conforming_strings = off;
set local escape_string_warning = off;

select case
  when exists (select from pg_proc p where p.pronamespace = 'pgmq'::regnamespace and position(chr(92) in p.prosrc) > 0)
  then throws_ok($$select pgmq.create('by_hand')$$, '42601', null, 'pgmq itself cannot make one')
  else lives_ok($$select pgmq.create('by_hand')$$, 'a pgmq without backslashes can')
end;
select lives_ok(
  $$select quantumflow.define_flow('{"slug": "w", "queue": "odd", "steps": [{"name": "a"}]}')$$, 'a definition makes its queue');
select quantumflow.start_flow('w');
select results_eq(
  $$select messages from quantumflow.rebuild_queues() where queue = 'odd'$$, $$values (1::bigint)$$, 'queues are made anew');
select is(current_setting('standard_conforming_strings'), 'off', 'the session keeps its setting');

select * from finish();
rollback;
