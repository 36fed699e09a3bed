create function quantumflow._kinds()
returns table (step_type text, counts boolean, known_tasks int, gathers boolean, plain boolean, settled boolean, repeats boolean)
language sql
immutable
begin atomic
  values
    ('single', true, 1, false, true, false, false),
    ('map', true, null, true, true, false, false),
    ('loop', true, null, false, true, false, true),
    ('sleep', true, 1, false, false, true, false),
    ('wait', true, 1, false, false, true, false),
    ('flow', true, 1, false, false, true, false),
    ('plan', true, null, false, false, true, true),
    ('callback', false, 1, false, true, false, false);
end;

comment on function quantumflow._kinds() is
'What is so of every step of a type. It is compiled into workflow_steps, which says what each fact means, when a version is stored:
what runs asks there, and never for the type.';
