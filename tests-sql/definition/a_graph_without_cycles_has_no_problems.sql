begin;
select plan(8);

create temporary table given (shape text, steps jsonb);
insert into given
values
  ('one step', '[{"name": "a"}]'),
  ('an empty list of dependencies', '[{"name": "a", "dependencies": []}]'),
  ('two roots and a merge', '[{"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a", "b"]}]'),
  ('a diamond', '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]},
    {"name": "d", "dependencies": ["b", "c"]}]'),
  ('a chain of five', '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]},
    {"name": "d", "dependencies": ["c"]}, {"name": "e", "dependencies": ["d"]}]'),
  ('out to three and in again', '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]},
    {"name": "d", "dependencies": ["a"]}, {"name": "e", "dependencies": ["b", "c", "d"]}]'),
  ('dependencies that come later', '[{"name": "b", "dependencies": ["a"]}, {"name": "a"}]'),
  ('a dependency given twice', '[{"name": "a"}, {"name": "b", "dependencies": ["a", "a"]}]');

select is_empty(
  format('select * from quantumflow.validate_flow(%L)', jsonb_build_object('slug', 'flow', 'steps', steps)),
  shape)
from given;

select * from finish();
rollback;
