begin;
select plan(13);

select throws_ok('select quantumflow.create_flow(null)', 'QF101', 'workflow_slug must not be null', 'no slug');
select throws_ok($$select quantumflow.create_flow('order', max_attempts => null)$$, 'QF101', 'max_attempts must not be null', 'no max_attempts');
select throws_ok($$select quantumflow.create_flow('order', timeout => null)$$, 'QF101', 'timeout must not be null', 'no timeout');
select throws_ok($$select quantumflow.create_flow('order', queue => null)$$, 'QF101', 'queue must not be null', 'no queue');
select throws_ok($$select quantumflow.create_flow('')$$, 'QF103', null, 'an empty slug');
select throws_ok($$select quantumflow.create_flow('run')$$, 'QF103', null, 'a reserved slug');
select throws_ok($$select quantumflow.create_flow('order', max_attempts => 0)$$, 'QF101', null, 'no attempts');
select throws_ok($$select quantumflow.create_flow('order', timeout => '0')$$, 'QF101', null, 'no time');
select throws_ok($$select quantumflow.create_flow('order', retry_delay => '-1 s')$$, 'QF101', null, 'a negative delay');
select throws_ok($$select quantumflow.create_flow('order', timeout => '11 years')$$, 'QF101', null, 'more than ten years');
select throws_ok($$select quantumflow.create_flow('order', queue => 'Orders')$$, 'QF110', null, 'a queue that pgmq would fold');
select throws_ok($$select quantumflow.create_flow('order', on_complete => '')$$, 'QF101', null, 'an empty command');
select is_empty('select from quantumflow.workflows', 'nothing is left behind');

select * from finish();
rollback;
