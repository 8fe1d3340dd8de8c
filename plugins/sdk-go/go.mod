module volley

go 1.24
