# Puts what guards an upgrade today into a hop: upgrades/guard.sql and upgrades/finish.sql, in place of those that stand there.
#
#   awk -v from=0.3.0 -v to=0.4.0 -f guard.awk releases/quantumflow--0.3.0--0.4.0.sql
#
# With -v without=1 it leaves them out, so that two hops can be compared in all else.

function fail(text) {
  print from "--" to ": " text > "/dev/stderr"
  failed = 1
  exit 1
}

# Copies a file, with the versions put in.
function paste(file,   line, found) {
  while ((getline line < file) > 0) {
    gsub(/@from@/, from, line)
    gsub(/@to@/, to, line)
    print line
    found = 1
  }
  if (!found) fail(file " is missing, or empty")
}

skipped != "" {
  if ($0 == "$" skipped "$;") skipped = ""
  next
}
/^do \$(guard|finish)\$$/ {
  skipped = substr($2, 2, length($2) - 2)
  n[skipped]++
  if (!without) paste("upgrades/" skipped ".sql")
  next
}
{ print }

END {
  if (!failed && (skipped != "" || n["guard"] != 1 || n["finish"] != 1)) fail("needs one guard, and one finish")
}
