module halfkey.example/launcher

go 1.21
