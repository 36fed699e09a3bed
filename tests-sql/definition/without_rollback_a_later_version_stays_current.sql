begin;
select plan(9);

create function pg_temp.step(text) returns jsonb language sql as $$
select jsonb_build_object('slug', 'w', 'steps', jsonb_build_array(jsonb_build_object('name', $1))) $$;
create function pg_temp.current() returns int language sql as
$$select current_version from quantumflow.workflows where workflow_slug = 'w'$$;
prepare deploy(text) as select version from quantumflow.define_flow(pg_temp.step($1), rollback => false);

select results_eq($$execute deploy('old')$$, 'values (1)', 'a program deploys what it knows');
select results_eq($$execute deploy('new')$$, 'values (2)', 'a newer one, though there was no run yet, makes a version of its own');
select results_eq($$execute deploy('old')$$, 'values (1)', 'the older one comes again, and is told which it has');
select is(pg_temp.current(), 2, 'and the newer stays current');
select results_eq($$execute deploy('new')$$, 'values (2)', 'which it is for the newer, too');

select is((quantumflow.define_flow(pg_temp.step('old'))).version, 1, 'who wants to go back says so');
select is(pg_temp.current(), 1, 'and it is current');
select results_eq($$execute deploy('new')$$, 'values (2)', 'the newer one comes again');
select is(pg_temp.current(), 2, 'and goes forward');

select * from finish();
rollback;
