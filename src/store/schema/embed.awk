# Turn numbered SQL files into src/store/schema.c: an array of {version, text}
# in the order given.  The version is the number a file's name begins with.
# Comments stay in, so that the database explains its own tables.

BEGIN {
	print "/* Made from src/store/schema by embed.awk; edits are lost. */"
	print "#include \"src/store/internal.h\""
	print ""
	print "const struct schema_step schema_steps[] = {"
}

FNR == 1 {
	if (n++ > 0)
		print "\t},"
	name = FILENAME
	sub(/^.*\//, "", name)
	if (name !~ /^[0-9]+_/) {
		print FILENAME ": the name has no number" > "/dev/stderr"
		failed = 1
		exit 1
	}
	printf "\t{ %d,\n", name + 0
}

{
	gsub(/\\/, "\\\\&")	# a backslash, and what was matched
	gsub(/"/, "\\\\&")
	gsub(/\t/, "\\t")
	printf "\t\"%s\\n\"\n", $0
}

END {
	if (failed)
		exit 1
	if (n > 0)
		print "\t},"
	print "};"
	printf "const size_t n_schema_steps = %d;\n", n
}
