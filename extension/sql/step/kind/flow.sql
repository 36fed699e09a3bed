-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._lane_of_children()
returns text
language sql
immutable
return 'flow';

comment on function quantumflow._lane_of_children() is
'The lane in which the messages of tasks are that wait for runs: the command of their steps.';
