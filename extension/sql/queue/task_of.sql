-- Without a path of its own, so that it is inlined where it is called, and a look at an index.
create function quantumflow._task_of(p_message jsonb, p_msg_id bigint)
returns setof quantumflow.step_tasks
language sql
stable
begin atomic
  select t.*
  from quantumflow.step_tasks t
  where t.run_id = quantumflow._as_uuid(p_message ->> 'workflow_run_id')
    and t.step_slug = p_message ->> 'step_name'
    and t.task_index = quantumflow._as_number(p_message ->> 'task_index', 9)::int
    and t.message_id = p_msg_id
  limit 1;
end;

comment on function quantumflow._task_of(jsonb, bigint) is
'The task of a message; none for one that says anything else, or that the task has another message than.';
