"""All bugs that are planted."""

from tests.planted import of_books, of_payments_and_reads, of_the_stream

BUGS = (*of_books.BUGS, *of_the_stream.BUGS, *of_payments_and_reads.BUGS)
