# Derives the script that leads from one version to the next: from what installs the one, which is the base and the hops after
# it, and from the script that installs the other.
#
#   awk -v changes=upgrades/0.4.0--0.5.0.sql -v from=0.4.0 -v to=0.5.0 -f upgrade.awk \
#     releases/quantumflow--0.3.0.sql releases/quantumflow--0.3.0--0.4.0.sql quantumflow--0.5.0.sql
#
# A hop replaces and drops what went before it; of a table, it is enough to know that there is one.
#
# Out come, in this order: the place of what guards the update, which guard.awk puts in; drops of the functions that are
# gone, or whose heads or row types are others, and of those types; the changes, which are written by
# hand; and, in the new script's order, every function, type and view that is new or different, every
# table, index and trigger that is new, their comments, and what is none of these (it takes rights
# away, and marks tables for pg_dump). How a table becomes another it cannot know: that is what the
# changes are for, and a test compares the outcome with a fresh installation.

function fail(text) {
  print changes ": " text > "/dev/stderr"
  failed = 1
  exit 1
}

# Follows the quotes through a line; whether a statement ends with it.
function ends_with(line,   token) {
  while (line != "") {
    if (quote != "") {
      if (!index(line, quote)) return 0
      line = substr(line, index(line, quote) + length(quote))
      quote = ""
      continue
    }
    if (!match(line, /'|--|;|\$[A-Za-z_0-9]*\$/)) return 0
    token = substr(line, RSTART, RLENGTH)
    line = substr(line, RSTART + RLENGTH)
    if (token == "--") return 0
    if (token == ";") {
      if (line != "") fail("more than a statement in a line: " $0)
      return 1
    }
    quote = token
  }
  return 0
}

# What a statement makes: "table quantumflow.queues", "comment on table quantumflow.queues"; else "".
function made_by(text,   words) {
  if (text ~ /^comment on /) {
    match(text, / is[ \n]'/)
    text = substr(text, 1, RSTART - 1)
    gsub(/[ \n]+/, " ", text)
    return text
  }
  if (!sub(/^create (unique |unlogged )?/, "", text)) return ""
  split(text, words, /[ (\n]/)
  return words[1] " " words[2]
}

# A function goes by its types, as "drop" wants them, which the comment that follows it names.
function file_it(text,   key) {
  sub(/^create or replace /, "create ", text)
  key = made_by(text)
  if (the_function != "") {
    if (key !~ /^comment on function /) fail("no comment follows " made_by(the_function))
    file_as(substr(key, length("comment on ") + 1), the_function)
    the_function = ""
  }
  if (key ~ /^function /) the_function = text
  else if (text ~ /^drop /) strike(text)
  else file_as(key, text)
}

function file_as(key, text) {
  n[side]++
  keys[side, n[side]] = key
  texts[side, n[side]] = text
  if (key == "") return
  of[side, key] = text
  place[side, key] = n[side]
}

# What a hop drops, a statement a thing.
function strike(text,   key) {
  key = substr(text, 6, length(text) - 6)
  delete of[side, key]
  delete place[side, key]
}

function head_of(text) {
  return substr(text, 1, index(text, "\nlanguage "))
}

# Whether a type that is made anew, or gone, is in a function's head, or in another type.
function names_changed_type(text,   type) {
  for (type in changed)
    if (text ~ (type "[^A-Za-z_0-9]")) return 1
  return 0
}

# Whether the database has a statement's effect already, or the changes see to it.
function is_there(key, text,   object, relation) {
  if (key == "") return text ~ /^set |^do \$path\$/  # said at the beginning, and looked at by the guard
  if (key ~ /^(schema|table|index|trigger) /) return (1, key) in of
  object = key
  sub(/^comment on /, "", object)
  for (relation in rebuilt)
    if (object == "table " relation || object == "view " relation || index(object, "column " relation ".") == 1) return 0
  if (sub(/^column /, "type ", object)) sub(/\.[^.]*$/, "", object)
  # What is new or different has its comment behind it, as in a script: that is how the next version reads it.
  if (object ~ /^(function|type) / && of[1, object] != of[2, object]) return 0
  return of[1, key] == text && !(object in dropped)
}

function drop(key) {
  print "drop " key ";"
  dropped[key] = 1
}

# Puts a table as it is now in the place of what it was, with its rows; the old one goes first, since its constraints have the
# names. A plain installation has no extension to take it from.
function rebuild(table) {
  print "  create temporary table _former as table " table ";"
  print "  if exists (select from pg_depend d where d.objid operator(pg_catalog.=) '" table "'::regclass"
  print "    and d.deptype operator(pg_catalog.=) 'e') then"
  print "    alter extension quantumflow drop table " table ";"
  print "  end if;"
  print "  drop table " table ";"
  print of[2, "table " table]
  print "  execute ("
  print "    select format('insert into " table " (%1$s) select %1$s from pg_temp._former',"
  print "      string_agg(quote_ident(a.attname), ', ' order by a.attnum))"
  print "    from pg_attribute a"
  print "    where a.attrelid = 'pg_temp._former'::regclass and a.attnum > 0 and not a.attisdropped);"
  print "  drop table pg_temp._former;"
  rebuilt[table] = 1
}

# Copies the changes, with what they name put in: tables to rebuild, indexes to make again. A view that it drops is to be
# made again.
function paste(file,   line, word, found) {
  while ((getline line < file) > 0) {
    split(" " line, word, /[ @;]+/)
    if (line ~ /^ *@rebuild /) rebuild(word[3])
    else if (line ~ /^ *@index /) print of[2, "index " word[3]]
    else print line
    if (line ~ /^ *drop view /) rebuilt[word[4]] = 1
    found = 1
  }
  if (!found) fail(file " is missing, or empty")
}

FNR == 1 { side = FILENAME == ARGV[ARGC - 1] ? 2 : 1 }
statement == "" && /^(--.*)?$/ { next }
{
  statement = statement (statement == "" ? "" : "\n") $0
  # A body in standard SQL has statements of its own, and ends with a line that says so.
  if ($0 == "begin atomic") is_in_body = 1
  if (is_in_body ? $0 == "end;" : ends_with($0)) {
    is_in_body = 0
    file_it(statement)
    statement = ""
  }
}

END {
  if (failed) exit 1
  if (side != 2 || statement != "" || the_function != "") fail("needs whole scripts")

  print "-- quantumflow " from " to " to ", derived from the scripts of both and from extension/" changes "."
  print "-- Until the end of the transaction, so that names and operators below mean the same, whoever updates."
  print "set local search_path = pg_catalog, pg_temp;\n"
  print "do $guard$\n$guard$;"

  print "\n-- What is gone, or cannot be replaced."
  for (i = 1; i <= n[1]; i++) {
    key = keys[1, i]
    if (place[1, key] != i) keys[1, i] = ""  # something later took its place, or dropped it
  }
  for (i = 1; i <= n[1]; i++) {
    key = keys[1, i]
    if (key ~ /^type / && (of[1, key] != of[2, key] || names_changed_type(of[1, key]))) changed[substr(key, 6)] = 1
  }
  for (i = 1; i <= n[1]; i++) {
    key = keys[1, i]
    head = head_of(of[1, key])
    if (key ~ /^function / && (head != head_of(of[2, key]) || names_changed_type(head))) drop(key)
  }
  for (i = n[1]; i >= 1; i--)  # what is made of others first
    if (keys[1, i] ~ /^type / && (substr(keys[1, i], 6) in changed)) drop(keys[1, i])

  print "\n-- Source: " changes
  paste(changes)

  print "\n-- What is new or different, and what must see it."
  for (i = 1; i <= n[2]; i++) {
    key = keys[2, i]
    text = texts[2, i]
    if (is_there(key, text)) continue
    sub(/^create function/, "create or replace function", text)
    sub(/^create view/, "create or replace view", text)
    print "\n" text
  }
  print "\ndo $finish$\n$finish$;"
}
