begin;
select plan(10);

select throws_ok($$select quantumflow._ensure_queue('Upper')$$, 'QF110', 'queue name "Upper" is not valid', 'upper case');
select throws_ok($$select quantumflow._ensure_queue('')$$, 'QF110', null, 'empty');
select throws_ok($$select quantumflow._ensure_queue(null)$$, 'QF110', null, 'null');
select throws_ok($$select quantumflow._ensure_queue('1st')$$, 'QF110', null, 'a digit first');
select throws_ok($$select quantumflow._ensure_queue('a-b')$$, 'QF110', null, 'a hyphen');
select throws_ok($$select quantumflow._ensure_queue('a"; drop table x')$$, 'QF110', null, 'an injection');
select throws_ok($$select quantumflow._ensure_queue(repeat('a', 48))$$, 'QF110', null, '48 characters');
select lives_ok($$select quantumflow._ensure_queue(repeat('a', 47))$$, '47 are fine');
select throws_ok(
  $$insert into quantumflow.queues (queue) values ('Upper')$$, '23514', null, 'the settings refuse them, too');
select is((select count(*)::int from pgmq.meta), 1, 'one queue was made');

select * from finish();
rollback;
