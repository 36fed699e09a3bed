begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "queue": "busy_queue", "steps": [{"name": "a"}]}');

select set_eq(
  $$select unnest(reloptions) from pg_class where oid = 'pgmq.q_busy_queue'::regclass$$,
  array['fillfactor=50', 'autovacuum_vacuum_scale_factor=0.0', 'autovacuum_vacuum_threshold=2000', 'autovacuum_vacuum_cost_delay=0'],
  'half a page free for updates, vacuumed by number, at once');
select is_empty(
  $$select from pg_trigger where tgrelid = 'pgmq.q_busy_queue'::regclass$$, 'and without a trigger');

select * from finish();
rollback;
