begin;
select plan(5);

select is(hashtext('c36012'), hashtext('c153775'), 'two commands have one hash, and so lie together in the index');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "c36012"}, {"name": "c153775"}, {"name": "other"}]}');
select quantumflow.start_flows('w', array_fill('1'::jsonb, array[3]));
create temporary table before on commit drop as
select msg_id, ctid as tid from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'c36012';

select bag_eq(
  $$select step_slug, count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2, commands => '{c153775}') group by 1$$,
  $$values ('c153775', 2::bigint)$$, 'a claim of one gets nothing of the other');
select bag_eq(
  $$select step_slug, count(*) from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{c153775,other}') group by 1$$,
  $$values ('c153775', 1::bigint), ('other', 3)$$, 'nor does a claim of several');
select bag_eq(
  $$select msg_id, ctid as tid from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'c36012'$$, 'select msg_id, tid from before',
  'nor is its message written');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
