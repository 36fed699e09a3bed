begin;
select plan(4);

select results_eq(
  $$select subject, state from quantumflow.doctor() where subject in ('pgmq', 'quantumflow')$$,
  $$values ('pgmq', 'ok'), ('quantumflow', 'ok')$$, 'they fit');

update pg_extension set extversion = '0.0.1' where extname = 'quantumflow';
select results_eq(
  $$select state, advice from quantumflow.doctor() where subject = 'quantumflow'$$,
  $$values ('error', 'The catalog says version 0.0.1. Run: alter extension quantumflow update.')$$, 'a script that was not installed by it');

alter extension pgmq drop function pgmq.send_batch(text, jsonb[], jsonb[], timestamptz);
drop function pgmq.send_batch(text, jsonb[], jsonb[], timestamptz);
select results_eq(
  $$select state, advice from quantumflow.doctor() where subject = 'pgmq'$$,
  $$values ('error', 'Install pgmq 1.5.1 or newer: create extension pgmq.')$$, 'a pgmq that is too old');

delete from pg_extension where extname in ('pgmq', 'quantumflow');
select results_eq(
  $$select fact from quantumflow.doctor() where subject in ('pgmq', 'quantumflow')$$,
  $$values ('pgmq, installed as plain SQL'::text), (format('quantumflow %s, installed as plain SQL', quantumflow.version()))$$,
  'both may be plain SQL');

select * from finish();
rollback;
