begin;
select plan(3);

select is_empty(
  $$select function_name from quantumflow._levels()
    except
    select split_part(call, '(', 1) from quantumflow.help() where says <> '' and topic <> ''$$,
  'every public function, with what it does');
select results_eq(
  $$select topic, call, may, says from quantumflow.help('owning') where call like 'revoke%'$$,
  $$select 'owning', 'revoke_access(role text)', '{}'::text[], split_part(obj_description('quantumflow.revoke_access'::regproc), E'\n\n', 1)$$, 'by topic');
select is(
  (select array_agg(distinct topic order by topic) from quantumflow.help()), '{defining,looking,owning,starting,steering,working}', 'these are the topics');

select * from finish();
rollback;
